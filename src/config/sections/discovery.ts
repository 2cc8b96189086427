import { object } from "../schema/object.ts";
import { string } from "../schema/text.ts";
import { optional, required } from "../schema/type.ts";
import { consul } from "./consul.ts";
import { dns } from "./dns.ts";
import { sources } from "./sources.ts";

/** `discovery` */
export const discovery = object({
  default: optional(
    sources,
    "The source of upstreams that name none, and where the service is registered; needed where several are configured.",
    "the only one that is configured, else static",
  ),
  consul: optional(consul, "A Consul agent.", "not used"),
  directory: optional(
    object({
      path: required(
        string("a path", " of a folder such as /run/mesh"),
        "The folder, shared by the sidecars of the machine.",
      ),
    }),
    "The embedded registry of one machine: a file a sidecar, written atomically, stale ones swept.",
    "not used",
  ),
  dns: optional(dns, "Host names and SRV records; each upstream says its own. Registers nothing.", "not used"),
  cache: optional(
    string("a path", " of a file such as /var/lib/outrigger/cache.json"),
    "Keeps the last good answers for a start while nobody answers, with mode 0600, for a day. Its folder must be there.",
  ),
  static: optional(
    object({}),
    "Endpoints stand under the upstream. Always there, with or without this key.",
    "always there",
  ),
});
