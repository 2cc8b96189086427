import { object } from "../schema/object.ts";
import { optional } from "../schema/type.ts";
import { byteRate, size } from "../schema/units.ts";

/** `service.bandwidth` and `upstreams.NAME.bandwidth` */
export const bandwidth = object({
  request: optional(byteRate(), "Octets of requests, of WebSockets and of connections on their way to it.", "no limit"),
  response: optional(byteRate(), "Octets of answers, and on their way back.", "no limit"),
  burst: optional(size(), "Octets that may pass at once after a rest, each way.", "a tenth of a second's, but 64KiB"),
});
