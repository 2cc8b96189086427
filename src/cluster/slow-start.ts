/** A new endpoint's way to its whole share of calls. */
export interface SlowStartSettings {
  /** Milliseconds until it has its whole weight. */
  readonly window: number;
  /** 1: in a straight line; above: fast at first; below: slow at first. */
  readonly aggression: number;
  /** The share of its weight that it has at once. */
  readonly from: number;
}

/**
 * The share of its weight that an endpoint has at an age: `max(from, (age / window) ^ (1 / aggression))`, the curve of Envoy.
 * 1 from the end of the window on.
 */
export function warmth(age: number, { window, aggression, from }: SlowStartSettings): number {
  if (age >= window) return 1;
  return Math.max(from, Math.max(0, age / window) ** (1 / aggression));
}
