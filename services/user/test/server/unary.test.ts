import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack, timestampDate } from "@bufbuild/protobuf/wkt";
import { type Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { type BadRequest, BadRequestSchema } from "../../api/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../api/gen/google/rpc/status_pb.ts";
import { FakeUserRepository } from "../support/fake-repository.ts";
import { failureOf, serve } from "../support/serve.ts";

const ANN = { id: "ann", email: "ann@x.org", displayName: "Ann" };

describe("GetUser and CreateUser", () => {
  it("give back what was stored", async (t) => {
    const { users } = await serve(t);
    const before = Date.now();
    const { user: created } = await users.createUser({ user: { ...ANN, picture: Uint8Array.of(1, 2) } });
    assert.ok(created?.createTime && created.updateTime);
    assert.deepEqual([created.id, created.email, created.displayName], ["ann", "ann@x.org", "Ann"]);
    assert.deepEqual([created.picture, created.version], [Buffer.of(1, 2), 1n]);
    assert.ok(timestampDate(created.createTime).getTime() >= before);
    assert.deepEqual((await users.getUser({ id: "ann" })).user, created);
  });

  it("answer NOT_FOUND and ALREADY_EXISTS", async (t) => {
    const { users } = await serve(t);
    await users.createUser({ user: ANN });
    const notFound = await failureOf(users.getUser({ id: "bob" }), status.NOT_FOUND);
    assert.equal(notFound.details, 'user "bob" not found');
    const sameEmail = users.createUser({ user: { ...ANN, id: "bob", email: "ANN@x.org" } });
    const taken = await failureOf(sameEmail, status.ALREADY_EXISTS);
    assert.equal(taken.details, 'a user with email "ANN@x.org" already exists');
    const sameId = users.createUser({ user: { ...ANN, email: "b@x.org" } });
    assert.equal((await failureOf(sameId, status.ALREADY_EXISTS)).details, 'a user with id "ann" already exists');
  });

  it("answer INVALID_ARGUMENT with every violation in google.rpc.BadRequest", async (t) => {
    const { users } = await serve(t);
    const error = await failureOf(users.createUser({ user: { email: "ann" } }), status.INVALID_ARGUMENT);
    assert.equal(error.details, "user.email must be an address like name@host; user.display_name is required");
    assert.deepEqual(violationsOf(error), [
      ["user.email", "must be an address like name@host"],
      ["user.display_name", "is required"],
    ]);
  });

  it("answer INVALID_ARGUMENT to a request that is empty", async (t) => {
    const { users } = await serve(t);
    const create = await failureOf(users.createUser({}), status.INVALID_ARGUMENT);
    assert.deepEqual(
      violationsOf(create).map(([field]) => field),
      ["user.email", "user.display_name"],
    );
    const get = await failureOf(users.getUser({}), status.INVALID_ARGUMENT);
    assert.deepEqual(
      violationsOf(get).map(([field]) => field),
      ["id"],
    );
  });

  it("carry 64 MiB in one message", async (t) => {
    const { users } = await serve(t);
    const picture = Buffer.alloc(64 * 1024 * 1024, "picture");
    await users.createUser({ user: { ...ANN, picture } });
    const { user } = await users.getUser({ id: "ann" });
    assert.ok(picture.equals(user?.picture ?? Buffer.of()));
  });

  it("refuse a message over the limit, where there is one", async (t) => {
    const { users } = await serve(t, { maxMessageBytes: 1_000 });
    const tooLarge = users.createUser({ user: { ...ANN, picture: new Uint8Array(1_000) } });
    await failureOf(tooLarge, status.RESOURCE_EXHAUSTED);
  });
});

describe("UpdateUser", () => {
  it("changes what the mask names", async (t) => {
    const { users } = await serve(t);
    await users.createUser({ user: ANN });
    const { user } = await users.updateUser({
      user: { id: "ann", email: "ignored@x.org", displayName: "Anna", version: 1n },
      updateMask: { paths: ["display_name"] },
    });
    assert.deepEqual([user?.email, user?.displayName, user?.version], ["ann@x.org", "Anna", 2n]);
    assert.deepEqual((await users.getUser({ id: "ann" })).user, user);
  });

  it("answers ABORTED to a stale version, and anything goes with none", async (t) => {
    const { users } = await serve(t);
    await users.createUser({ user: ANN });
    await users.updateUser({ user: { id: "ann", displayName: "A" } });
    const stale = users.updateUser({ user: { id: "ann", displayName: "B", version: 1n } });
    assert.equal((await failureOf(stale, status.ABORTED)).details, 'user "ann" is at version 2 by now');
    await users.updateUser({ user: { id: "ann", displayName: "B", version: 2n } });
  });

  it("answers INVALID_ARGUMENT to a path that is none, and tells 20 of them at most", async (t) => {
    const { users } = await serve(t);
    const paths = Array.from({ length: 1_000 }, (_, n) => `path${n}`);
    const call = users.updateUser({ user: { id: "ann" }, updateMask: { paths } });
    const violations = violationsOf(await failureOf(call, status.INVALID_ARGUMENT));
    assert.deepEqual(violations[0], ["update_mask.paths[0]", "must be one of email, display_name, picture"]);
    assert.equal(violations.length, 20);
  });

  it("answers NOT_FOUND and ALREADY_EXISTS", async (t) => {
    const { users } = await serve(t);
    await users.createUser({ user: ANN });
    await users.createUser({ user: { ...ANN, id: "bob", email: "bob@x.org" } });
    await failureOf(users.updateUser({ user: { ...ANN, id: "cid" } }), status.NOT_FOUND);
    await failureOf(users.updateUser({ user: { id: "bob", email: "ann@x.org" } }), status.ALREADY_EXISTS);
  });
});

describe("DeleteUser", () => {
  it("deletes once, in the version that is expected", async (t) => {
    const { users } = await serve(t);
    await users.createUser({ user: ANN });
    await failureOf(users.deleteUser({ id: "ann", version: 7n }), status.ABORTED);
    await users.deleteUser({ id: "ann", version: 1n });
    await failureOf(users.deleteUser({ id: "ann" }), status.NOT_FOUND);
    await failureOf(users.getUser({ id: "ann" }), status.NOT_FOUND);
  });
});

describe("a store that fails", () => {
  it("is INTERNAL with what failed; the cause is in the log and nowhere in the answer", async (t) => {
    const repository = new FakeUserRepository();
    repository.failure = new Error("disk I/O error at /var/secret");
    const { users, lines } = await serve(t, { repository });
    const error = await failureOf(users.getUser({ id: "ann" }), status.INTERNAL);
    assert.equal(error.details, "failed to fetch user");
    assert.doesNotMatch(JSON.stringify([error.message, error.metadata.toJSON()]), /secret/);
    assert.deepEqual(
      lines.map(({ msg }) => msg),
      ["failed to fetch user"],
    );
    assert.match(JSON.stringify(lines), /disk I\/O error at \/var\/secret/);
  });
});

describe("the metadata user-instance", () => {
  it("is in the initial and in the trailing metadata of an answer", async (t) => {
    const { users } = await serve(t);
    const seen: Metadata[] = [];
    const onHeader = (metadata: Metadata) => seen.push(metadata);
    await users.createUser({ user: ANN }, { onHeader, onTrailer: onHeader });
    assert.deepEqual(
      seen.map((metadata) => metadata.get("user-instance")),
      [["replica-1"], ["replica-1"]],
    );
  });

  it("is in the trailing metadata of a failure, which has no others", async (t) => {
    const { users } = await serve(t);
    let headers = 0;
    const call = users.getUser({ id: "ann" }, { onHeader: () => headers++ });
    const error = await failureOf(call, status.NOT_FOUND);
    assert.deepEqual([error.metadata.get("user-instance"), headers], [["replica-1"], 0]);
  });
});

describe("the limit of streams", () => {
  it("is announced to clients, whose further calls wait", async (t) => {
    const repository = new FakeUserRepository();
    const gate = Promise.withResolvers<void>();
    repository.gate = gate.promise;
    const { users } = await serve(t, { repository, maxConcurrentStreams: 2 });
    const warmUp = users.getUser({ id: "a" }).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 50));
    const calls = ["b", "c", "d"].map((id) => users.getUser({ id }).catch(() => {}));
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(repository.calls.length, 2);
    gate.resolve();
    await Promise.all([warmUp, ...calls]);
    assert.equal(repository.calls.length, 4);
  });
});

function violationsOf(error: ServiceError): [string, string][] {
  const [details] = error.metadata.get("grpc-status-details-bin");
  assert.ok(details instanceof Buffer);
  const { code, message, details: packed } = fromBinary(StatusSchema, details);
  assert.deepEqual([code, message], [error.code, error.details]);
  assert.equal(packed.length, 1);
  const badRequest: BadRequest | undefined = packed[0] && anyUnpack(packed[0], BadRequestSchema);
  assert.ok(badRequest);
  return badRequest.fieldViolations.map(({ field, description }) => [field, description]);
}
