import type { Timer } from "../../core/clock.ts";
import { type CheckServices, type CheckSettings, type CheckTarget, findFault } from "./check.ts";

/** What the checks say. */
export type CheckState =
  /** Nothing yet: the endpoint counts as healthy, and the first check decides by itself. */
  | { readonly kind: "unchecked" }
  | { readonly kind: "healthy" }
  /** `since`: wall-clock milliseconds. */
  | { readonly kind: "unhealthy"; readonly since: number; readonly detail: string };

/** Who is asked, and is told. */
export interface Checked extends CheckTarget {
  /** It takes connections: what does not is out anyway, and need not be asked. */
  readonly reachable: boolean;
  checkChanged(state: CheckState): void;
}

/**
 * Asks one endpoint again and again.
 *
 * Invariant: one question is under way, or the timer for the next one is armed; not both, and neither once closed.
 */
export class ActiveCheck {
  state: CheckState;
  private readonly settings: CheckSettings;
  private readonly endpoint: Checked;
  private readonly services: CheckServices;
  private passed = 0;
  private failed = 0;
  private closed = false;
  private timer: Timer | undefined = undefined;

  /** `state`: what checks by other settings said last. */
  constructor(settings: CheckSettings, endpoint: Checked, services: CheckServices, state: CheckState) {
    this.state = state;
    this.settings = settings;
    this.endpoint = endpoint;
    this.services = services;
    // Not all endpoints of a big service at once.
    const first = settings.interval * settings.jitter * services.random();
    this.timer = services.clock.setTimer(first, () => void this.run());
  }

  /** Asks no more. Idempotent. */
  close(): void {
    this.closed = true;
    this.timer?.cancel();
  }

  private async run(): Promise<void> {
    if (this.endpoint.reachable) {
      const fault = await findFault(this.endpoint, this.settings, this.services);
      if (this.closed) return;
      if (this.endpoint.reachable) this.take(fault);
    }
    const { interval, jitter } = this.settings;
    const pause = interval * (1 + jitter * (2 * this.services.random() - 1));
    this.timer = this.services.clock.setTimer(pause, () => void this.run());
  }

  private take(fault: string | undefined): void {
    const { state, services } = this;
    const { unhealthyAfter, healthyAfter } = this.settings;
    const first = state.kind === "unchecked";
    this.passed = fault === undefined ? this.passed + 1 : 0;
    this.failed = fault === undefined ? 0 : this.failed + 1;
    if (fault === undefined) {
      if (state.kind !== "healthy" && (first || this.passed >= healthyAfter)) this.become({ kind: "healthy" });
    } else if (state.kind !== "unhealthy" && (first || this.failed >= unhealthyAfter)) {
      this.become({ kind: "unhealthy", since: services.clock.wall(), detail: fault });
    }
  }

  private become(state: CheckState): void {
    this.state = state;
    this.endpoint.checkChanged(state);
  }
}
