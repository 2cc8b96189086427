import { defaultListenerLimits } from "../../net/listener.ts";
import { integer } from "../schema/integer.ts";
import { object } from "../schema/object.ts";
import { optional, preset, section } from "../schema/type.ts";
import { duration } from "../schema/units.ts";

const callers = object({
  max: preset(
    integer({ min: 1, max: 1_000_000 }),
    defaultListenerLimits.maxConnections,
    "How many may be open at each listener. One more takes the place of the one that has been silent longest and has no call; where all have calls, it is closed at once.",
  ),
  maxPerSource: optional(
    integer({ min: 1, max: 1_000_000 }),
    "The same from one address, or one /64 of IPv6; one more is closed at once.",
    "as many as of all",
  ),
  maxAge: optional(
    duration({ min: 100 }),
    "After this long, a tenth earlier or later at random, the caller is asked to go on over another connection: by GOAWAY, or by connection: close with an answer.",
    "connections stay",
  ),
  grace: optional(
    duration({ min: 0 }),
    "Within this much the calls of a caller that was asked to go have to end; then they are ended with REBALANCE. WebSockets and connections of TCP, which cannot be asked, end then as well.",
    "calls end by themselves",
  ),
  maxRequests: optional(
    integer({ min: 1, max: 1_000_000_000 }),
    "After so many calls on a connection the caller is asked the same.",
    "no limit",
  ),
  idleTimeout: optional(
    duration({ min: 100 }),
    "A connection that has had no call for this long is ended, of HTTP/2 by GOAWAY and up to a quarter later. Of TCP upstreams.NAME.idleTimeout decides.",
    "HTTP/2: no limit; HTTP/1.1: 75s",
  ),
});

/** `connections` */
export const connections = object({
  inbound: section(callers, "Connections of others."),
  outbound: section(callers, "Connections of the application, by any of the listeners that it calls through."),
});

/** `upstreams.NAME.connections` */
export const upstreamConnections = object({
  maxAge: optional(
    duration({ min: 100 }),
    "After this long, a tenth earlier or later at random, a connection makes room for another one: it gets no more calls once that one stands, and ends with its last one.",
    "connections stay",
  ),
  maxRequests: optional(
    integer({ min: 1, max: 1_000_000_000 }),
    "After so many calls, and those that come until another one stands, the same.",
    "no limit",
  ),
});
