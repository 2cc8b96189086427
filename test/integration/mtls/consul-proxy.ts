import { connect } from "node:net";
import type { Consul } from "../../support/consul.ts";
import { startProcess } from "../../support/process.ts";
import { requirePart } from "../../support/real-parts.ts";
import { eventually, type Scope } from "../../support/with-proxy.ts";

/** Consul's own proxy, at the layer of TCP. */
export async function consulProxy(
  scope: Scope,
  { address }: Consul,
  listens: number,
  ...args: string[]
): Promise<void> {
  const flags = ["connect", "proxy", `-http-addr=${address}`, ...args];
  const started = await startProcess(requirePart("consul"), flags);
  scope.onEnd(async () => void (await started.kill()));
  await eventually(
    () => answers(listens),
    () => `consul's proxy: ${started.stdout()}${started.stderr()}`,
    20_000,
  );
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
