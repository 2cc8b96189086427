import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";

const identity = (value: Buffer): Buffer => value;

function method(path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  };
}

/** A service whose calls must not be made twice. Messages are octets. */
export const counterService = {
  /** Not idempotent: each execution counts. */
  add: method("/test.v1.Counter/Add", false, false),
  hold: method("/test.v1.Counter/Hold", true, true),
} satisfies ServiceDefinition;

/** grpc.health.v1 with its messages as octets. */
export const healthService = {
  check: method("/grpc.health.v1.Health/Check", false, false),
  watch: method("/grpc.health.v1.Health/Watch", false, true),
} satisfies ServiceDefinition;
