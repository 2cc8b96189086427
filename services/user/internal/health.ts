import { status } from "@grpc/grpc-js";
import {
  type Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../api/gen/grpc/health/v1/health_pb.ts";
import type { Implementation } from "./grpc-adapter.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import { stoppingFailure } from "./status-of.ts";

/** Which services of this server are fit to be called, and `grpc.health.v1` that tells it. */
export class HealthStatus {
  /** By name; the empty one is the server as a whole. */
  readonly #serving: Map<string, boolean>;
  readonly #stopping: AbortSignal;
  readonly #wakes = new Set<() => void>();

  /** @param stopping When it is aborted nothing is serving any more, and Watch streams end after they have told so. */
  constructor(services: readonly string[], stopping: AbortSignal) {
    this.#serving = new Map(["", ...services].map((service) => [service, true]));
    this.#stopping = stopping;
    stopping.addEventListener("abort", () => this.#wakeAll(), { once: true });
  }

  /** Changes what one service answers, and tells those who watch. */
  setServing(service: string, serving: boolean): void {
    this.#serving.set(service, serving);
    this.#wakeAll();
  }

  readonly implementation: Implementation<typeof Health> = {
    check: async ({ service }) => {
      if (this.#serving.has(service)) return { status: this.#status(service) };
      throw new GrpcFailure(status.NOT_FOUND, "unknown service");
    },

    watch: async ({ service }, send, { signal }) => {
      let told: ServingStatus | undefined;
      while (!signal.aborted) {
        const current = this.#status(service);
        if (current !== told) await send({ status: current });
        told = current;
        if (current !== this.#status(service)) continue;
        if (this.#stopping.aborted) throw stoppingFailure();
        await this.#change(signal);
      }
    },
  };

  #status(service: string): ServingStatus {
    const serving = this.#serving.get(service);
    if (serving === undefined) return ServingStatus.SERVICE_UNKNOWN;
    return serving && !this.#stopping.aborted ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }

  /** Resolves at the next change, or when the call is over. */
  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#wakes.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#wakes.add(wake);
      signal.addEventListener("abort", wake);
    });
  }

  #wakeAll(): void {
    for (const wake of [...this.#wakes]) wake();
  }
}
