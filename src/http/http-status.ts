import { Status } from "./reason.ts";

/**
 * What the status of an answer in HTTP/1.1 is in the words that policies, metrics and logs have: those of `google.rpc.Code`. It is not
 * gRPC's mapping of answers that are not gRPC (`statusOfHttp`), which is about what went wrong on the way there.
 */
export function statusOfAnswer(http: number): number {
  if (http < 400) return Status.OK;
  switch (http) {
    case 400:
      return Status.INVALID_ARGUMENT;
    case 401:
      return Status.UNAUTHENTICATED;
    case 403:
      return Status.PERMISSION_DENIED;
    case 404:
      return Status.NOT_FOUND;
    case 409:
      return Status.ABORTED;
    case 429:
      return Status.RESOURCE_EXHAUSTED;
    case 499:
      return Status.CANCELLED;
    case 501:
      return Status.UNIMPLEMENTED;
    case 502:
    case 503:
      return Status.UNAVAILABLE;
    case 504:
      return Status.DEADLINE_EXCEEDED;
    default:
      return http < 500 ? Status.FAILED_PRECONDITION : Status.INTERNAL;
  }
}
