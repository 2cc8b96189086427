import { listenAddress } from "../schema/names.ts";
import { object } from "../schema/object.ts";
import { preset } from "../schema/type.ts";
import { tcp } from "./defaults.ts";

/** `listeners` */
export const listeners = object({
  inbound: preset(listenAddress(), tcp("", 15006), "Calls for the application come in here."),
  outbound: preset(listenAddress(), tcp("127.0.0.1", 15001), "The application's own calls go out here."),
  admin: preset(
    listenAddress(),
    tcp("127.0.0.1", 15000),
    "For people: on loopback, unless admin says how others prove who they are.",
  ),
  probe: preset(listenAddress(), tcp("", 15021), "For kubelet and Prometheus: read-only."),
});
