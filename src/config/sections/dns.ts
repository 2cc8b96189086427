import { list } from "../schema/collections.ts";
import { nameServer } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { optional, preset } from "../schema/type.ts";
import { duration } from "../schema/units.ts";
import { words } from "../schema/words.ts";
import { none } from "./defaults.ts";

/** `discovery.dns` */
export const dns = object({
  refresh: preset(
    duration({ min: 1000 }),
    5_000,
    "When it is asked again after an answer without a time to live, such as that there is nothing. One that has it is used for as long.",
  ),
  family: preset(
    words(["auto", "ipv4", "ipv6", "both"]),
    "auto",
    "Which addresses of a host are its instances; auto: those of IPv4, or where it has none those of IPv6.",
  ),
  servers: preset(list(nameServer()), none, "The name servers that are asked; [] for those of the system."),
  maxStale: optional(
    duration(),
    "A name that had addresses and has none any more keeps them; after so long it is believed to have none.",
    "it keeps them for ever",
  ),
});
