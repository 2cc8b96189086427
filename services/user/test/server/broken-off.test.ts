import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ImportUsersRequestSchema, UserService } from "../../api/gen/user_pb.ts";
import { methodDefinition } from "../../internal/grpc-definition.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { RawCall } from "../support/raw-call.ts";
import { serve } from "../support/serve.ts";

const { path, requestSerialize } = methodDefinition(UserService.method.importUsers);
const ANN = create(ImportUsersRequestSchema, { user: { email: "ann@x.org", displayName: "Ann" } });

const endings: [string, (call: RawCall) => void][] = [
  ["is reset", (call) => call.reset()],
  ["is ended and reset at once", (call) => call.endAndReset()],
  ["loses its connection", (call) => call.vanish()],
];

describe("an import that breaks off", () => {
  for (const [how, breakOff] of endings) {
    it(`because it ${how} stores nobody, and is no failure`, async (t) => {
      const repository = new FakeUserRepository();
      const { address, lines } = await serve(t, { repository });
      const call = await RawCall.open(address, path);
      call.message(requestSerialize(ANN));
      await new Promise((resolve) => setTimeout(resolve, 50));
      breakOff(call);
      await new Promise((resolve) => setTimeout(resolve, 50));
      call.close();
      assert.deepEqual(repository.calls, []);
      assert.deepEqual(lines, []);
    });
  }
});
