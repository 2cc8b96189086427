import { optional } from "../schema/type.ts";
import { duration } from "../schema/units.ts";

/** What a service speaks. */
export const protocols = ["grpc", "http2", "http1", "tcp"] as const;

/** `service.idleTimeout` */
export const serviceIdleTimeout = optional(
  duration(),
  "How long a TCP connection or a WebSocket may carry nothing in either direction; then it is ended. With http1 and tcp only.",
  "1h",
);

/** `upstreams.NAME.idleTimeout` */
export const idleTimeout = optional(
  duration(),
  "The longest that a call, a TCP connection or a WebSocket may be without anything of it moving in either direction.",
  "no limit; 1h for TCP connections and WebSockets",
);
