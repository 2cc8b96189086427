import { type ServerUnaryCall, status } from "@grpc/grpc-js";
import { GrpcFailure } from "./grpc-failure.ts";

/** A call of any kind, as far as its end is concerned. */
interface EndingCall {
  getDeadline: ServerUnaryCall<unknown, unknown>["getDeadline"];
  once(event: "cancelled", listener: () => void): unknown;
  /** Only calls that are streams have it. */
  destroy?(): unknown;
}

/** What a method knows of its call beside the messages. */
export interface CallContext {
  /**
   * Aborted when the caller is gone or its deadline has passed, with the `GrpcFailure` as its reason; also, without
   * consequence, when the call has been answered.
   */
  readonly signal: AbortSignal;
}

/** The longest delay that setTimeout knows, in ms. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/** What the handlers see of a call: a signal that fires when the caller has gone or its deadline has passed. */
export function contextOf(call: EndingCall): CallContext {
  const controller = new AbortController();
  // grpc-js tells of a passed deadline only when the status is on its way, which is never while the caller of a
  // stream does not read. Hence a timer of our own.
  const delay = Number(call.getDeadline()) - Date.now();
  const timer =
    delay <= MAX_DELAY_MS
      ? setTimeout(() => {
          controller.abort(new GrpcFailure(status.DEADLINE_EXCEEDED, "deadline exceeded"));
          call.destroy?.();
        }, delay)
      : undefined;
  call.once("cancelled", () => {
    clearTimeout(timer);
    controller.abort(new GrpcFailure(status.CANCELLED, "the caller is gone"));
  });
  return { signal: controller.signal };
}
