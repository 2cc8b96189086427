import type { AppHealth } from "../cluster/app-health.ts";
import type { HealthAnswer } from "../cluster/grpc-health.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { Watch } from "../core/watch.ts";
import type { HealthStatus } from "./view.ts";

/** What the application's health is answered from. */
export interface ApplicationHealthOptions {
  /** The application now in force; undefined where this sidecar has none. */
  readonly application: () => Pick<AppHealth, "ask" | "state"> | undefined;
  /** Whether this sidecar is ready: what is said where there is no application to ask. */
  readonly ready: () => boolean;
  /** While true nothing is serving, whatever the application says. */
  readonly draining: Watch<boolean>;
  readonly clock: Clock;
}

/** Milliseconds between two questions about a watched service that nobody else asks about. */
const INTERVAL = 5000;

/** The health of the application for whoever probes this sidecar: asked anew for each check. */
export class ApplicationHealth {
  private readonly options: ApplicationHealthOptions;

  constructor(options: ApplicationHealthOptions) {
    this.options = options;
  }

  /** Never rejects. */
  async ask(service: string): Promise<HealthStatus> {
    const { draining, ready } = this.options;
    if (draining.current) return "NOT_SERVING";
    const application = this.options.application();
    if (application === undefined) {
      if (service !== "") return "SERVICE_UNKNOWN";
      return ready() ? "SERVING" : "NOT_SERVING";
    }
    const answer = statusOf(await application.ask(service));
    // The drain may have begun while the application was asked.
    return this.options.draining.current ? "NOT_SERVING" : answer;
  }

  /** Tells a service's health now and at each change, until the function that it returns is called. */
  watch(service: string, tell: (status: HealthStatus) => void): () => void {
    const { draining, clock } = this.options;
    let over = false;
    let timer: Timer | undefined;
    const ask = async (): Promise<void> => {
      timer?.cancel();
      const status = await this.ask(service);
      if (over) return;
      tell(status);
      timer?.cancel();
      timer = clock.setTimer(INTERVAL, () => void ask());
    };
    const stopDraining = draining.onChange(() => void ask());
    // Of the whole the sidecar knows a change before it would ask again.
    const stopState = service === "" ? this.options.application()?.state.onChange(() => void ask()) : undefined;
    void ask();
    return () => {
      over = true;
      timer?.cancel();
      stopDraining();
      stopState?.();
    };
  }
}

function statusOf(answer: HealthAnswer): HealthStatus {
  return answer === "SERVING" || answer === "SERVICE_UNKNOWN" ? answer : "NOT_SERVING";
}
