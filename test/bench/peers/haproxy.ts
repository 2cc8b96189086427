import { freePort } from "../../support/ports.ts";
import { requirePart } from "../../support/real-parts.ts";
import type { Peer } from "./peer.ts";
import { startProxy, withPorts } from "./pinned.ts";
import { versionOf } from "./version.ts";

/** HAProxy with `haproxy.cfg`: one thread, HTTP/2 on both sides. */
export async function haproxy(): Promise<Peer> {
  const program = requirePart("haproxy");
  return {
    name: "haproxy",
    description: `HAProxy ${await versionOf(program, ["-v"], /version (\d+\.\d+\.\d+)/)} (haproxy.cfg), one thread`,
    start: async (placement) => {
      const port = await freePort();
      const file = withPorts("haproxy.cfg", placement, port);
      return startProxy(placement, port, program, ["-db", "-q", "-f", file]);
    },
  };
}
