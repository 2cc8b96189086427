import { fieldNameType, methodPattern } from "../schema/calls.ts";
import { list } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { object } from "../schema/object.ts";
import { optional, preset } from "../schema/type.ts";
import { words } from "../schema/words.ts";
import { none } from "./defaults.ts";

const calls = integer({ min: 1, max: 100_000 });

/** `service.adaptiveConcurrency` and `upstreams.NAME.adaptiveConcurrency` */
export const adaptiveConcurrency = object({
  initial: preset(calls, 20, "Calls at once before anything is known."),
  min: preset(calls, 4, "The limit is never lower."),
  max: preset(calls, 1000, "The limit is never higher."),
  per: preset(words(["all", "method"]), "all", "One limit for all calls, or one for each method."),
  exempt: preset(
    list(methodPattern()),
    none,
    "Methods that are neither counted nor refused, such as streams that stay open.",
  ),
  criticality: optional(
    fieldNameType(),
    "The metadata field that says how much a call matters: critical, sheddable or anything else. Sheddable calls are refused at 70% of the limit, others at 90%, critical ones last.",
    "all calls matter the same",
  ),
});
