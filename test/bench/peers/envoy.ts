import { freePort } from "../../support/ports.ts";
import { requirePart } from "../../support/real-parts.ts";
import type { Peer } from "./peer.ts";
import { startProxy, withPorts } from "./pinned.ts";
import { versionOf } from "./version.ts";

/** Envoy with `envoy-sidecar.yaml` and one worker. */
export async function envoy(): Promise<Peer> {
  const program = requirePart("envoy");
  return {
    name: "envoy",
    description: `Envoy ${await versionOf(program, ["--version"], /\/(\d+\.\d+\.\d+)\//)}, sidecar-like (envoy-sidecar.yaml), one worker`,
    start: async (placement) => {
      const port = await freePort();
      const file = withPorts("envoy-sidecar.yaml", placement, port);
      return startProxy(placement, port, program, [
        "-c",
        file,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "-l",
        "error",
      ]);
    },
  };
}
