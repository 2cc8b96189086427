import { list } from "./schema/collections.ts";
import { integer } from "./schema/integer.ts";
import { serviceName } from "./schema/names.ts";
import { object } from "./schema/object.ts";
import { optional, preset, section, type Type } from "./schema/type.ts";
import { duration } from "./schema/units.ts";
import { words } from "./schema/words.ts";
import { admin } from "./sections/admin.ts";
import { authorization } from "./sections/authorization.ts";
import { capture } from "./sections/capture.ts";
import { connections } from "./sections/connections.ts";
import { none } from "./sections/defaults.ts";
import { discovery } from "./sections/discovery.ts";
import { explain } from "./sections/explain.ts";
import { deadlines, fault } from "./sections/faults.ts";
import { jwt } from "./sections/jwt.ts";
import { listeners } from "./sections/listeners.ts";
import { log } from "./sections/log.ts";
import { metrics } from "./sections/metrics.ts";
import { mtls } from "./sections/mtls.ts";
import { names } from "./sections/names.ts";
import { overload } from "./sections/overload.ts";
import { protocols } from "./sections/protocols.ts";
import { rateLimits } from "./sections/rate-limits.ts";
import { route } from "./sections/routes.ts";
import { service } from "./sections/service.ts";
import { tracing } from "./sections/tracing.ts";
import { upstreams } from "./sections/upstream.ts";

/**
 * The file: every key that there is, with its type, its default and what it is for. A section of some size has a file of its
 * own in `sections/`.
 */
export const schema = object({
  service: optional(
    service,
    "The application beside this sidecar.",
    "a caller-only sidecar: no inbound listener, nothing registered",
  ),
  identity: section(
    object({
      name: optional(serviceName("a name"), "How a caller-only sidecar is called.", 'service.name, else "unnamed"'),
    }),
    "Who this sidecar is for others.",
  ),
  listeners: section(listeners, "Where the sidecar listens. Port 0 takes a free one."),
  connections: section(
    connections,
    "Connections of callers: how many, and for how long. See [limits.md](limits.md#connections-of-callers).",
  ),
  admin: section(admin, "The admin listener: who may ask it."),
  names: section(names, "Which names a call may be for."),
  discovery: section(discovery, "Where endpoints come from."),
  mtls: section(mtls, "TLS between sidecars."),
  upstreams: preset(upstreams, new Map(), "Settings by service name; a name without an entry has the defaults."),
  routes: preset(
    list(route),
    none,
    "Where calls of a declared upstream go otherwise, and what is done to them on the way. The first route that matches is the one.",
  ),
  rateLimits: preset(
    list(rateLimits),
    none,
    "How many calls may pass. A call has to pass every limit that it matches, and is charged to all of them or to none.",
  ),
  authorization: optional(
    authorization,
    "Who may call the application: see [authorization.md](authorization.md).",
    "everybody whom mtls lets in",
  ),
  jwt: optional(
    jwt,
    "Tokens of callers (JWT): see [authorization.md](authorization.md#tokens).",
    "tokens are the application's business",
  ),
  faults: preset(list(fault), none, "Faults on purpose, for game days. The first one that befalls a call is injected."),
  deadlines: section(deadlines, "What is made of deadlines, beside honouring them."),
  capture: optional(
    capture,
    "Connections that `outrigger capture` redirects to the sidecar, so that the application calls others by their own names.",
    "none are redirected",
  ),
  egress: preset(
    words(["pass", "declared"]),
    "pass",
    "Captured connections to where no upstream is: passed on to where they were going, or only to the endpoints of declared upstreams.",
  ),
  protocols: preset(protocols, new Map(), "What captured connections to a port speak, so that nobody has to find out."),
  log: section(log, "Logs: see [logs.md](logs.md)."),
  metrics: section(metrics, "What is counted: see [metrics.md](metrics.md)."),
  tracing: optional(tracing, "Distributed tracing: see [tracing.md](tracing.md).", "no call is traced"),
  explain: section(explain, "Why a call went as it did: see [explain.md](explain.md)."),
  drain: section(
    object({
      notice: preset(duration({ min: 0 }), 2_000, "From being not ready and deregistered to refusing new calls."),
      grace: preset(duration({ min: 0 }), 25_000, "From there until what is left is reset."),
    }),
    "What happens before the sidecar stops.",
  ),
  keepalive: section(
    object({
      timeout: preset(
        duration(),
        10_000,
        "Within this much a peer has to answer that was asked whether it is still there: sidecars after 10s of silence " +
          "during a call, others after 310s, since many servers end the connection of whoever asks more often.",
      ),
    }),
    "Connections that lead nowhere.",
  ),
  overload: section(
    overload,
    "What is done while the sidecar itself comes near the end of what it has: see [overload.md](overload.md#the-sidecar-itself).",
  ),
  workers: preset(
    integer({ min: 1, max: 1024 }),
    1,
    "Threads that carry calls. With one, it does everything else, too; with several, another thread does.",
  ),
});

/** What the file says, defaults filled in where they do not depend on anything. */
export type FileConfig = typeof schema extends Type<infer T> ? T : never;
