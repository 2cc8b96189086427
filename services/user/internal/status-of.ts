import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Metadata, status } from "@grpc/grpc-js";
import { BadRequestSchema } from "../api/gen/google/rpc/error_details_pb.ts";
import { type Status, StatusSchema } from "../api/gen/google/rpc/status_pb.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import type { Result, UserError, Violation } from "./user-error.ts";

/** How many violations are told: details travel in a header field, and peers limit those, often to 8 KiB. */
const MAX_VIOLATIONS = 20;

/** A domain error as it is told inside a message: per user of an import, per upsert of a sync. */
export function statusOf(error: UserError): Status {
  const { code, message } = plainStatusOf(error);
  const details = error.kind === "invalid" ? [anyPack(BadRequestSchema, badRequestOf(error.violations))] : [];
  return create(StatusSchema, { code, message, details });
}

/** A domain error as the end of a call. Details are in the metadata `grpc-status-details-bin`. */
function failureOf(error: UserError): GrpcFailure {
  const { code, message } = plainStatusOf(error);
  const metadata = new Metadata();
  if (error.kind === "invalid") {
    metadata.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, statusOf(error))));
  }
  return new GrpcFailure(code, message, metadata);
}

/** The value of a result; its error ends the call. */
export function unwrap<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw failureOf(result.error);
}

/** As `unwrap`, for an item of a stream that is interrupted also when the server stops. */
export function unwrapItem<T>(item: Result<T>, stopping: AbortSignal): T {
  const stopped = !item.ok && item.error.kind === "interrupted" && stopping.aborted;
  if (stopped) throw stoppingFailure();
  return unwrap(item);
}

/** The end of a stream that would outlast the server. */
export function stoppingFailure(): GrpcFailure {
  return new GrpcFailure(status.UNAVAILABLE, "the server is stopping");
}

function plainStatusOf(error: UserError): { code: status; message: string } {
  switch (error.kind) {
    case "notFound":
      return { code: status.NOT_FOUND, message: `user "${error.id}" not found` };
    case "alreadyExists":
      return { code: status.ALREADY_EXISTS, message: `a user with ${error.field} "${error.value}" already exists` };
    case "stale":
      return { code: status.ABORTED, message: `user "${error.id}" is at version ${error.version} by now` };
    case "invalid":
      return { code: status.INVALID_ARGUMENT, message: error.violations.map(sentenceOf).slice(0, 3).join("; ") };
    case "unknownRevision":
      return { code: status.OUT_OF_RANGE, message: rangeOf(error) };
    case "tooLarge":
      return { code: status.RESOURCE_EXHAUSTED, message: error.what };
    case "interrupted":
      return { code: status.CANCELLED, message: "the caller is gone" };
    case "unavailable":
      return { code: status.UNAVAILABLE, message: `${error.what}: the store cannot be reached` };
    case "busy":
      return { code: status.RESOURCE_EXHAUSTED, message: `${error.what}: the store is busy` };
    case "uncertain":
      return { code: status.UNKNOWN, message: `${error.what}, or not: the store was lost while it was told` };
    case "failed":
      return { code: status.INTERNAL, message: error.what };
  }
}

function rangeOf({ revision, oldest, newest }: { revision: bigint; oldest: bigint; newest: bigint }): string {
  return `changes after revision ${revision} are not known, only those after ${oldest} to ${newest}: list, then watch from now`;
}

function badRequestOf(violations: readonly Violation[]) {
  return create(BadRequestSchema, {
    fieldViolations: violations.slice(0, MAX_VIOLATIONS).map((each) => ({ ...each })),
  });
}

function sentenceOf({ field, description }: Violation): string {
  return `${field} ${description}`;
}
