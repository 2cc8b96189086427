import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { requirePart, skipUnless } from "../../../test/support/real-parts.ts";
import { serve } from "./support/serve.ts";

/** grpcurl knows nothing of our files: whatever it prints, it has learned from reflection. */
async function grpcurl(...args: string[]): Promise<{ output: string; failed: boolean }> {
  try {
    const { stdout } = await promisify(execFile)(requirePart("grpcurl"), ["-plaintext", ...args]);
    return { output: stdout, failed: false };
  } catch (error) {
    assert.ok(error instanceof Error && "stderr" in error);
    return { output: String(error.stderr), failed: true };
  }
}

describe("grpcurl", skipUnless("grpcurl"), () => {
  it("lists and describes services, methods and messages", async (t) => {
    const { address } = await serve(t);
    const { output: services } = await grpcurl(address, "list");
    assert.deepEqual(services.trim().split("\n"), [
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "user.v1.UserService",
    ]);
    assert.match(
      (await grpcurl(address, "list", "user.v1.UserService")).output,
      /^user\.v1\.UserService\.CreateUser$/m,
    );
    const described = await grpcurl(address, "describe", "user.v1.UserService.ListUsers");
    assert.match(described.output, /returns \( stream \.user\.v1\.ListUsersResponse \)/);
    assert.match(
      (await grpcurl(address, "describe", "user.v1.User")).output,
      /\.google\.protobuf\.Timestamp create_time = 6;/,
    );
  });

  it("calls every kind of method", async (t) => {
    const { address } = await serve(t);
    const service = `user.v1.UserService`;
    const call = (method: string, data: string) => grpcurl("-d", data, address, `${service}/${method}`);
    const user = '{"id":"ann","email":"ann@x.org","displayName":"Ann"}';
    const created = await call("CreateUser", `{"user":${user}}`);
    assert.match(created.output, /"version": "1"/);
    assert.match((await call("ListUsers", "{}")).output, /"id": "ann"/);
    const imported = await call("ImportUsers", `{"user":{"email":"b@x.org","displayName":"B"}} {"user":${user}}`);
    assert.match(imported.output, /"createdCount": "1",\n {2}"failedCount": "1"/);
    const synced = await call("SyncUsers", `{"upsert":{"operationId":"op-1","user":${user}}}`);
    assert.match(synced.output, /"ack": {\n {4}"operationId": "op-1",\n {4}"version": "3"/);
  });

  it("shows the violations of a bad request by name", async (t) => {
    const { address } = await serve(t);
    const { output, failed } = await grpcurl(
      "-d",
      '{"user":{"email":"ann"}}',
      address,
      "user.v1.UserService/CreateUser",
    );
    assert.ok(failed);
    assert.match(output, /Code: InvalidArgument/);
    assert.match(output, /"field": "user\.display_name",\s+"description": "is required"/);
  });

  it("reads the health", async (t) => {
    const { address } = await serve(t);
    const { output } = await grpcurl("-d", '{"service":"user.v1.UserService"}', address, "grpc.health.v1.Health/Check");
    assert.match(output, /"status": "SERVING"/);
  });
});
