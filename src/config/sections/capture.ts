import { list } from "../schema/collections.ts";
import { integer } from "../schema/integer.ts";
import { dialAddress, listenAddress, network } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { optional, preset, section } from "../schema/type.ts";
import { words } from "../schema/words.ts";
import { none, tcp } from "./defaults.ts";

const port = integer({ min: 1, max: 65_535 });

/** `capture` */
export const capture = object({
  inbound: preset(
    listenAddress(),
    tcp("", 15016),
    "Redirected connections of others come in here; a port of every address.",
  ),
  outbound: preset(
    listenAddress(),
    tcp("127.0.0.1", 15011),
    "Redirected connections of the application come in here, and at the same port of [::1].",
  ),
  otherPorts: optional(
    words(["pass", "refuse"]),
    "Connections of others to ports besides the service's: passed on to where they were going, the pod's own address and never loopback, or refused.",
    "pass; with mtls.mode strict refuse",
  ),
  rules: preset(
    words(["auto", "nftables", "iptables"]),
    "auto",
    "What `outrigger capture` sets the rules with; auto: nftables where it is installed.",
  ),
  exclude: section(
    object({
      inboundPorts: preset(list(port), none, "Ports of the pod that others reach as they are."),
      outboundPorts: preset(list(port), none, "Ports that the application calls as they are, wherever they are."),
      cidrs: preset(list(network()), none, "Networks that the application calls as they are."),
      users: preset(
        list(integer({ min: 0, max: 4_294_967_294 })),
        none,
        "Numbers of users whose connections go out as they are, besides the sidecar's own.",
      ),
    }),
    "What is not redirected.",
  ),
  allow: preset(
    list(dialAddress()),
    none,
    "Loopback and link-local addresses and metadata services of a cloud that the application's captured connections may go on to all the same.",
  ),
});
