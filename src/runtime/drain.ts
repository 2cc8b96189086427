import type { Clock } from "../core/clock.ts";
import type { Listeners } from "./listeners.ts";

export interface DrainOptions {
  readonly listeners: Listeners;
  readonly clock: Clock;
  /** Milliseconds in which callers may learn that they should go elsewhere, with the listeners still open. */
  readonly notice: number;
  /** Milliseconds for what is under way, after the notice. */
  readonly grace: number;
  /** Takes the service out of discovery. */
  readonly withdraw: () => Promise<void>;
  readonly tell: (direction: "inbound" | "outbound", message: string) => void;
}

/** Milliseconds between looks at what is left. */
const LOOK = 20;

/**
 * Goes without losing a call: out of discovery, notice with the listeners open, GOAWAY to callers, inbound streams to their
 * end; outbound stays for the application until it has gone. What is left when grace ends is cut. Returns how many streams
 * that were.
 */
export async function drain(options: DrainOptions): Promise<number> {
  const { listeners, clock, notice, grace, withdraw, tell } = options;
  const withdrawn = withdraw();
  const { inbound } = listeners;
  if (inbound !== undefined) {
    tell("inbound", `draining: callers have ${notice} ms to hear of it`);
    await pause(clock, notice);
    inbound.acceptor.shutdown("draining");
    inbound.listener.stopAccepting();
    tell("inbound", `no new calls; ${inbound.acceptor.activeStreams} are under way`);
  }
  const end = clock.now() + grace;
  await until(clock, end, () => inbound === undefined || inbound.acceptor.activeStreams === 0);
  tell("inbound", "every call has ended");
  tell("outbound", "stays until the application has gone");
  await until(clock, end, () => listeners.outbound.every(({ acceptor }) => acceptor.connectionCount === 0));
  let cut = 0;
  for (const { acceptor } of listeners.all())
    cut += acceptor.closeAll("the sidecar shut down before the call had ended");
  await Promise.race([withdrawn, pause(clock, Math.max(0, end - clock.now()))]);
  return cut;
}

async function until(clock: Clock, end: number, done: () => boolean): Promise<void> {
  while (!done() && clock.now() < end) await pause(clock, Math.min(LOOK, end - clock.now()));
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(ms, resolve));
}
