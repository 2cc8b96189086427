import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientReadableStream, credentials, type ServiceError } from "@grpc/grpc-js";
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from "../../services/user/api/gen/grpc/health/v1/health_pb.ts";
import { type Address, formatAddress } from "../../src/core/address.ts";

const serialize = (service: string): Buffer =>
  Buffer.from(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service })));

const names = new Map<number, string>(
  Object.entries(HealthCheckResponse_ServingStatus).flatMap(([name, number]) =>
    typeof number === "number" ? [[number, name]] : [],
  ),
);
const deserialize = (octets: Buffer): string =>
  names.get(fromBinary(HealthCheckResponseSchema, octets).status) ?? "not a status";

/** grpc.health.v1 by grpc-js and protobuf-es: what Kubernetes and others speak, and none of it ours. */
export class HealthClient {
  private readonly client: Client;

  constructor(address: Address) {
    this.client = new Client(formatAddress(address), credentials.createInsecure(), {
      "grpc.enable_retries": 0,
      // A connection of its own, whoever else speaks to the same address.
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  /** The status that comes back, or the code and text of the failure. */
  check(service: string, path = "/grpc.health.v1.Health/Check"): Promise<string> {
    return new Promise((resolve) => {
      const done = (error: ServiceError | null, status?: string): void =>
        resolve(error === null ? `${status}` : `${error.code} ${error.details}`);
      this.client.makeUnaryRequest(path, serialize, deserialize, service, done);
    });
  }

  watch(service: string): ClientReadableStream<string> {
    return this.client.makeServerStreamRequest("/grpc.health.v1.Health/Watch", serialize, deserialize, service);
  }

  close(): void {
    this.client.close();
  }
}
