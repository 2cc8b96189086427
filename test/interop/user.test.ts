import assert from "node:assert/strict";
import { test } from "node:test";
import { create, equals, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Client, credentials } from "@grpc/grpc-js";
import { ServerReflection } from "../../services/user/api/gen/grpc/reflection/v1/reflection_pb.ts";
import { file_user } from "../../services/user/api/gen/user_pb.ts";
import { clientOf } from "../../services/user/internal/grpc-client.ts";
import { skipUnless } from "../support/real-parts.ts";
import { runPair, verdict } from "./pairs.ts";
import { goUserService, userPairs } from "./user-pairs.ts";

for (const [client, server] of userPairs) {
  const title = `${client.name} calls ${server.name} as if no sidecar were there, through one, through two, and through two by mTLS`;
  test(title, skipUnless(...client.parts, ...server.parts), async (t) => {
    const rows = await runPair(client, server);
    assert.notEqual(rows.length, 0);
    for (const row of rows) await t.test(row.name, () => assert.equal(verdict(row), undefined));
  });
}

test(
  "the user service in Go is of this interface: else buf generate in test/peers/userservice",
  skipUnless("go"),
  async (t) => {
    const server = await goUserService.start();
    t.after(() => server.stop());
    const channel = new Client(server.address, credentials.createInsecure());
    t.after(() => channel.close());
    const asked = { messageRequest: { case: "fileContainingSymbol" as const, value: "user.v1.UserService" } };
    const reflection = clientOf(ServerReflection, channel);
    for await (const { messageResponse } of reflection.serverReflectionInfo(requests(asked))) {
      assert.ok(messageResponse.case === "fileDescriptorResponse");
      const [bytes] = messageResponse.value.fileDescriptorProto;
      assert.ok(bytes);
      const { options: _, ...told } = fromBinary(FileDescriptorProtoSchema, bytes);
      const { options: __, ...ours } = file_user.proto;
      const file = FileDescriptorProtoSchema;
      assert.ok(equals(file, create(file, told), create(file, ours)), "the .proto file has changed");
      break;
    }
  },
);

async function* requests<T>(...items: readonly T[]): AsyncGenerator<T, void> {
  yield* items;
}
