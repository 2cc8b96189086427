import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { BadRequestSchema } from "../../api/gen/google/rpc/error_details_pb.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { failureOf, Requests, serve, until } from "../support/serve.ts";

function user(email: string, displayName = "Somebody") {
  return { user: { email, displayName } };
}

type ImportRequest = ReturnType<typeof user>;

describe("ImportUsers", () => {
  it("creates what it can and reports the rest by place, with code and details", async (t) => {
    const { users } = await serve(t);
    const requests = new Requests<ImportRequest>();
    requests.push(user("a@x.org"), user("A@x.org"), user("", ""), user("b@x.org"));
    requests.end();
    const report = await users.importUsers(requests);
    assert.deepEqual([report.createdCount, report.failedCount], [2n, 2n]);
    const [taken, invalid] = report.errors;
    assert.deepEqual([taken?.index, taken?.status?.code], [1n, status.ALREADY_EXISTS]);
    assert.deepEqual([invalid?.index, invalid?.status?.code], [2n, status.INVALID_ARGUMENT]);
    const [detail] = invalid?.status?.details ?? [];
    assert.ok(detail);
    const badRequest = anyUnpack(detail, BadRequestSchema);
    assert.deepEqual(
      badRequest?.fieldViolations.map(({ field }) => field),
      ["user.email", "user.display_name"],
    );
  });

  it("answers RESOURCE_EXHAUSTED to more, while the client still sends", async (t) => {
    const { users } = await serve(t, { maxImport: 100 });
    const endless = async function* () {
      for (let n = 0; ; n++) yield user(`user-${n}@x.org`);
    };
    const { details } = await failureOf(users.importUsers(endless()), status.RESOURCE_EXHAUSTED);
    assert.equal(details, "an import has at most 100 users");
  });

  it("stores nobody when the store fails, and says INTERNAL", async (t) => {
    const repository = new FakeUserRepository();
    repository.failure = new Error("disk full");
    const { users } = await serve(t, { repository });
    const requests = new Requests<ImportRequest>();
    requests.push(user("a@x.org"));
    requests.end();
    const { details } = await failureOf(users.importUsers(requests), status.INTERNAL);
    assert.equal(details, "failed to import users");
    await until("the store was asked", () => repository.calls.includes("insert"));
  });
});
