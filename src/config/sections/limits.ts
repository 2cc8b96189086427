import { integer } from "../schema/integer.ts";
import { object } from "../schema/object.ts";
import { optional, preset } from "../schema/type.ts";
import { duration } from "../schema/units.ts";

/** `upstreams.NAME.limits` */
export const limits = object({
  maxConnections: optional(integer({ min: 1, max: 1024 }), "Connections to each of its instances.", "1024"),
  maxConcurrent: optional(
    integer({ min: 1, max: 1_000_000 }),
    "Calls under way at once; further ones wait or are refused.",
    "no limit",
  ),
  maxQueue: preset(
    integer({ min: 0, max: 100_000 }),
    0,
    "Calls that may wait for maxConcurrent; 0: none, they are refused at once.",
  ),
  maxQueueTime: preset(duration({ max: 10_000 }), 1_000, "How long each of them may wait."),
});
