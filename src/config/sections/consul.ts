import { httpUrl } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { secret, string } from "../schema/text.ts";
import { optional, preset } from "../schema/type.ts";

/** `discovery.consul` */
export const consul = object({
  address: preset(httpUrl(), "http://127.0.0.1:8500", "The HTTP API of the agent."),
  token: optional(secret("an ACL token"), "Better kept in a file or a variable."),
  tokenFile: optional(string("a path", " such as /etc/outrigger/token"), "A file with the ACL token in it."),
  datacenter: optional(string("a data centre"), "The data centre that is asked.", "the agent's own"),
  namespace: optional(string("a namespace"), "Of Consul Enterprise.", "the token's own"),
  partition: optional(string("a partition"), "Of Consul Enterprise.", "the agent's own"),
  tls: optional(
    object({
      ca: optional(
        string("a path", " of a PEM file"),
        "A PEM file of the authorities that may sign the agent's certificate.",
        "those of Node.js",
      ),
      cert: optional(
        string("a path", " of a PEM file"),
        "A PEM file of the client's certificate, where the agent asks for one.",
      ),
      key: optional(string("a path", " of a PEM file"), "A PEM file of its key."),
      serverName: optional(string("a host name"), "The name in the agent's certificate.", "the host of the address"),
    }),
    "For an address that starts with https.",
    "the system's trust",
  ),
});
