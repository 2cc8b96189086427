import { freePort } from "../../support/ports.ts";
import { requirePart } from "../../support/real-parts.ts";
import type { Peer } from "./peer.ts";
import { startProxy } from "./pinned.ts";
import { versionOf } from "./version.ts";

/** Windows that a long answer needs; the default of 64 KiB would only measure the window. */
const WINDOW = 4 * 1024 * 1024;

/** nghttpx with HTTP/2 on both sides and one worker. */
export async function nghttpx(): Promise<Peer> {
  const program = requirePart("nghttpx");
  return {
    name: "nghttpx",
    description: `nghttpx ${await versionOf(program, ["--version"], /nghttp2\/(\d+\.\d+\.\d+)/)}, one worker`,
    start: async (placement) => {
      const port = await freePort();
      return startProxy(placement, port, program, [
        "--conf=/dev/null",
        "--single-process",
        "--workers=1",
        `--frontend=127.0.0.1,${port};no-tls`,
        `--backend=127.0.0.1,${placement.upstreamPort};;proto=h2`,
        `--frontend-http2-window-size=${WINDOW}`,
        `--frontend-http2-connection-window-size=${WINDOW}`,
        `--backend-http2-window-size=${WINDOW}`,
        "--log-level=ERROR",
      ]);
    },
  };
}
