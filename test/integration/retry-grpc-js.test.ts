import assert from "node:assert/strict";
import { test } from "node:test";
import { type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { GrpcServer, grpcClient, testService } from "../support/grpc-service.ts";
import { inScope } from "../support/with-proxy.ts";

const CLIENT = {
  maxAttempts: 3,
  initialBackoff: "0.001s",
  maxBackoff: "0.001s",
  backoffMultiplier: 1,
  retryableStatusCodes: ["UNAVAILABLE"],
};
const SIDECAR = { attempts: 2, idempotentMethods: ["test.v1.Test/Unary"], backoff: { base: "1ms", max: "1ms" } };

/** How often each side tries, and what the server reads of the attempts before. */
const rows: [what: string, client: boolean, sidecar: boolean, previous: (string | undefined)[]][] = [
  ["a client with a retry policy of its own, and none in the sidecar", true, false, [undefined, "1", "2"]],
  ["a client without one, and one in the sidecar", false, true, [undefined, "1"]],
  // The client's second attempt says 1; what the sidecar adds to it is 2.
  ["both", true, true, [undefined, "1", "1", "2", "2", "3"]],
];

for (const [what, client, sidecar, previous] of rows)
  test(`grpc-js, ${what}: the server sees ${previous.length} attempts that are counted on`, async () => {
    await inScope(async (scope) => {
      const seen: (string | undefined)[] = [];
      const server = await GrpcServer.start({
        unary(call: { metadata: Metadata }, callback: (error: Partial<ServiceError>) => void) {
          seen.push(call.metadata.get("grpc-previous-rpc-attempts")[0]?.toString());
          callback({ code: status.UNAVAILABLE, details: "not now" });
        },
      });
      scope.onEnd(() => server.stop());
      const up = {
        discovery: "static",
        endpoints: [server.address],
        outlierDetection: { mode: "disabled" },
        ...(sidecar ? { retry: SIDECAR } : {}),
      };
      const proxy = await scope.sidecar({ upstreams: { up } });
      const methodConfig = [{ name: [{}], retryPolicy: CLIENT }];
      const caller = grpcClient(proxy.outbound, "up", {
        "grpc.enable_retries": client ? 1 : 0,
        "grpc.service_config": JSON.stringify({ loadBalancingConfig: [], methodConfig: client ? methodConfig : [] }),
      });
      scope.onEnd(() => caller.close());
      const { path, requestSerialize, responseDeserialize } = testService.unary;
      const error = await new Promise<ServiceError | null>((resolve) =>
        caller.makeUnaryRequest(path, requestSerialize, responseDeserialize, Buffer.from("x"), resolve),
      );
      assert.deepEqual([error?.code, error?.details], [status.UNAVAILABLE, "not now"]);
      assert.deepEqual(seen, previous);
    });
  });
