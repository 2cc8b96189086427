import type { Head } from "../http/headers.ts";
import type { Reason } from "../http/reason.ts";

/** How an attempt at a call went at its endpoint: what health, latency and load are judged by. Times are the clock's. */
export interface AttemptReport {
  /**
   * `ok`: the endpoint gave an answer of its own, whatever its status. `failure`: it did not, or a sidecar on the way answered.
   * `cancelled`: nobody waited for its answer any more, which says nothing of it.
   */
  readonly outcome: "ok" | "failure" | "cancelled";
  /** The gRPC status of the answer, or of the failure; undefined where there is none. */
  readonly status: number | undefined;
  /** Why there was no answer of the application; also that of a sidecar on the way. */
  readonly reason: Reason | undefined;
  /** When the attempt was given to the endpoint. */
  readonly startedAt: number;
  /** When the head of its answer came, or undefined. */
  readonly answeredAt: number | undefined;
  readonly endedAt: number;
  /** The last head of the answer: where `grpc-status` and load reports stand. */
  readonly trailers: Head | undefined;
  /**
   * Milliseconds after which the endpoint wants to be asked again, where it answered that it has too many calls; 0: it did not say
   * when; undefined: it did not answer so.
   */
  readonly overLimit: number | undefined;
}
