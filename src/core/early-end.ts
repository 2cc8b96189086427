import { constants } from "node:os";

const SIGNALS = ["SIGTERM", "SIGINT", "SIGQUIT"] as const;

/**
 * Has a signal end a program that is still being loaded, as it does where nobody listens to it. But from the first process of a
 * container the kernel keeps such signals: one that came too early would be lost, and the pod killed when its patience is over.
 */
export function endEarly(): void {
  if (process.pid !== 1) return;
  for (const signal of SIGNALS) process.on(signal, end);
}

/** From here on others listen, who have begun to. */
export function pastEarlyEnd(): void {
  for (const signal of SIGNALS) process.off(signal, end);
}

function end(signal: NodeJS.Signals): void {
  process.exit(128 + constants.signals[signal]);
}
