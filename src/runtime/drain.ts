import type { Clock } from "../core/clock.ts";
import type { Capture } from "./capture.ts";
import type { Listeners } from "./listeners.ts";

/** What is drained, and in what time. */
export interface DrainOptions {
  readonly listeners: Listeners;
  readonly capture: Capture;
  readonly clock: Clock;
  /** Milliseconds in which callers may learn that they should go elsewhere, with the listeners still open. */
  readonly notice: number;
  /** Milliseconds for what is under way, after the notice. */
  readonly grace: number;
  /** Takes the service out of discovery. Resolves within a bounded time. */
  readonly withdraw: () => Promise<void>;
  /** Nobody calls the application any more: where the sidecar is its parent, it is asked to go now. */
  readonly endApplication: () => void;
  /** Whether the application beside this sidecar has gone; asked repeatedly. True where there is none. */
  readonly applicationGone: () => boolean;
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
  const { listeners, capture, clock, notice, grace, withdraw, endApplication, applicationGone, tell } = options;
  const { inbound } = listeners;
  // Whoever asks for the health hears it from now on; calls are taken as before.
  inbound?.acceptor.beginDrain();
  const withdrawn = withdraw();
  if (inbound !== undefined) {
    tell("inbound", `draining: callers have ${notice} ms to hear of it`);
    // The notice is counted from when it is published; a discovery source that does not answer delays that no further.
    await within(clock, notice, withdrawn);
    await pause(clock, notice);
    inbound.acceptor.shutdown("draining");
    inbound.side.shutdown();
    inbound.listener.stopAccepting();
    capture.stopAccepting("inbound");
    const pending = inbound.acceptor.pendingCalls + inbound.side.activeCalls;
    tell("inbound", `callers are asked to go; ${pending} calls are under way`);
  }
  const end = clock.now() + grace;
  if (inbound !== undefined) {
    // Calls are on their way of callers who do not know it yet. Who is passed on cannot be asked to go.
    const drained = (): boolean =>
      inbound.acceptor.drained && inbound.side.connectionCount === 0 && capture.relays.inbound.size === 0;
    const ended = await until(clock, end, drained);
    const cut = inbound.acceptor.pendingCalls + inbound.side.activeCalls;
    tell("inbound", ended ? "every call has ended" : `grace is over: ${cut} calls are cut`);
    inbound.acceptor.endWatches();
  }
  endApplication();
  const unused = (): boolean =>
    capture.relays.outbound.size === 0 &&
    listeners.callers.every(({ acceptor, side }) => acceptor.connectionCount + side.connectionCount === 0);
  if (clock.now() < end) {
    tell("outbound", "stays until the application has gone");
    const gone = await until(clock, end, () => unused() && applicationGone());
    tell("outbound", gone ? "the application has gone" : "grace is over: the application is left alone");
  }
  let cut = capture.closeAll();
  const why = "the sidecar shut down before the call had ended";
  for (const { acceptor, side } of listeners.all()) cut += acceptor.closeAll(why) + side.closeAll(why);
  await within(clock, end - clock.now(), withdrawn);
  return cut;
}

/** Whether the condition came to hold before `end`, in milliseconds of the clock. */
async function until(clock: Clock, end: number, condition: () => boolean): Promise<boolean> {
  while (!condition()) {
    if (clock.now() >= end) return false;
    await pause(clock, Math.min(LOOK, end - clock.now()));
  }
  return true;
}

/** Waits for a promise, so many milliseconds at most. */
async function within(clock: Clock, ms: number, promise: Promise<void>): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = clock.setTimer(Math.max(0, ms), resolve);
    promise.then(
      () => {
        timer.cancel();
        resolve();
      },
      (error: unknown) => {
        timer.cancel();
        reject(error);
      },
    );
  });
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(ms, resolve));
}
