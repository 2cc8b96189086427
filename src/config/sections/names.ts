import { list } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { domain, glob } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { optional, preset, section } from "../schema/type.ts";
import { duration, rate } from "../schema/units.ts";

/** `names` */
export const names = object({
  suffixes: optional(
    list(domain()),
    "What may follow a service name in :authority.",
    "service.consul, and NAMESPACE.svc.cluster.local and NAMESPACE.svc where the variable POD_NAMESPACE is set",
  ),
  onDemand: section(
    object({
      allow: preset(list(glob()), ["*"], "Names without an entry under upstreams that may be looked up; [] for none."),
      max: preset(integer({ min: 1, max: 100_000 }), 200, "How many such names are kept at once."),
      idle: preset(duration(), 600_000, "A name that is not called for so long is forgotten."),
      negative: preset(duration({ min: 0 }), 5_000, "How long it is remembered that a name has no instance."),
      rate: preset(rate(), 10, "How many lookups of new names are made."),
    }),
    "Names that no upstream declares, with a discovery source that can look them up: consul or directory.",
  ),
});
