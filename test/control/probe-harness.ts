import type { TestContext } from "node:test";
import { pino } from "pino";
import { startProbe } from "../../src/control/probe.ts";
import type { Address } from "../../src/core/address.ts";
import { type Clock, systemClock } from "../../src/core/clock.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { FakeView } from "./fake-view.ts";
import { HealthClient } from "./health-client.ts";

export interface Probe {
  readonly view: FakeView;
  readonly address: Extract<Address, { kind: "tcp" }>;
  readonly client: HealthClient;
}

/** A probe listener over a sidecar that a test controls, and a gRPC client of it. */
export async function probe(t: TestContext, clock: Clock = systemClock): Promise<Probe> {
  const view = new FakeView();
  const log = pino({ level: "silent" });
  const options = { view, clock, loop: new FlushLoop(clock), log };
  const listener = await startProbe({ kind: "tcp", host: "127.0.0.1", port: 0 }, options);
  const { address } = listener;
  if (address.kind !== "tcp") throw new Error("bound to something else");
  const client = new HealthClient(address);
  t.after(async () => {
    client.close();
    await listener.close();
  });
  return { view, address, client };
}

/** Resolves once `condition` holds; rejects after two seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (let round = 0; round < 400; round++) {
    if (condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`not within two seconds: ${what}`);
}
