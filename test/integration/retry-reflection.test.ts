import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { ErrorCode } from "../../src/http2/errors.ts";
import { goUserService, userService } from "../interop/user-pairs.ts";
import { offered } from "../runtime/offered.ts";
import { answerHead, callHead, connectPeer, message } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { skipUnless } from "../support/real-parts.ts";
import { type Act, inTrailers, ScriptedServer, trailersOnly } from "../support/scripted-server.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

const GET_USER = "/user.v1.UserService/GetUser";

/** A ServerReflectionResponse with the file of a service whose method Call has this idempotency_level. */
function responseWith(idempotencyLevel: number): Uint8Array {
  const file = create(FileDescriptorProtoSchema, {
    name: "test.proto",
    package: "test.v1",
    service: [
      {
        name: "Test",
        method: [
          { name: "Call", options: { idempotencyLevel } },
          { name: "Watch", serverStreaming: true, options: { idempotencyLevel: 1 } },
          { name: "Put" },
        ],
      },
    ],
  });
  return new BinaryWriter()
    .tag(4, 2)
    .bytes(new BinaryWriter().tag(1, 2).bytes(toBinary(FileDescriptorProtoSchema, file)).finish())
    .finish();
}
const response = responseWith(1);

/** A server whose calls fail with UNAVAILABLE, or as is said, with a reflection service of one of the two versions. */
function reflecting(version: "v1" | "v1alpha", act: Act = inTrailers(14), answer = () => response): Act {
  return (peer: RawPeer, stream: number) => {
    const request = peer.received.find((heard) => heard.kind === "headers" && heard.stream === stream);
    const path = request?.kind === "headers" ? (fieldOf(request.fields, ":path") ?? "") : "";
    if (!path.includes("Reflection")) act(peer, stream);
    else if (!path.startsWith(`/grpc.reflection.${version}.`)) trailersOnly(12)(peer, stream);
    else {
      peer.headers(stream, answerHead);
      peer.data(stream, message(answer()));
      peer.headers(stream, [["grpc-status", "0"]], true);
    }
  };
}

for (const version of ["v1", "v1alpha"] as const)
  test(`methods are made again that are idempotent by the reflection (${version}) of their server, and no others`, async () => {
    await inScope(async (scope) => {
      const server = await ScriptedServer.start(scope, reflecting(version));
      const retry = { attempts: 2, descriptors: "reflection", backoff: { base: "1ms", max: "1ms" } };
      const up = { discovery: "static", endpoints: [server.address], retry, outlierDetection: { mode: "disabled" } };
      const sidecar = await scope.sidecar({ upstreams: { up } });
      const caller = await connectPeer(scope, sidecar.outbound);
      const attempts = async (path: string): Promise<unknown> => {
        const before = sidecar.calls.length;
        const head = callHead("up").map(([name, value]) => [name, name === ":path" ? path : value] as const);
        await caller.answer(caller.request(head, true));
        return (await sidecar.call(before)).attempts;
      };
      assert.equal(await attempts("/test.v1.Test/Call"), 1, "before the server was asked nothing is known");
      await eventually(
        async () => (await attempts("/test.v1.Test/Call")) === 2,
        () => "the answer of the reflection service",
      );
      assert.equal(await attempts("/test.v1.Test/Put"), 1);
      const retried = sidecar.lines.find(({ msg }) => msg === "a call is made again");
      assert.equal(retried?.proof, "the method's idempotency_level is NO_SIDE_EFFECTS by the reflection of its server");
      const asked = server.requests.filter(({ fields }) => fieldOf(fields, ":path")?.includes("Reflection"));
      assert.equal(asked.length, version === "v1" ? 1 : 2, "once each");
    });
  });

test("what reflection says is kept over a reload, and asked again after a while: another version of the server may say otherwise", async () => {
  await inScope(async (scope) => {
    let level = 1;
    let version: "v1" | "v1alpha" = "v1";
    const server = await ScriptedServer.start(scope, (peer, stream) =>
      reflecting(version, inTrailers(14), () => responseWith(level))(peer, stream),
    );
    const retry = { attempts: 2, descriptors: "reflection", backoff: { base: "1ms", max: "1ms" } };
    const up = { discovery: "static", endpoints: [server.address], retry, outlierDetection: { mode: "disabled" } };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const attempts = async (): Promise<unknown> => {
      const before = sidecar.calls.length;
      const caller = await connectPeer(scope, sidecar.outbound);
      await caller.answer(caller.request(callHead("up"), true));
      caller.destroy();
      return (await sidecar.call(before)).attempts;
    };
    const comeTo = (wanted: number): Promise<void> =>
      eventually(
        async () => (await attempts()) === wanted,
        () => `calls are made ${wanted} times`,
      );
    await comeTo(2);
    const asked = () => server.requests.filter(({ fields }) => fieldOf(fields, ":path")?.includes("Reflection")).length;
    assert.equal(asked(), 1);
    for (const timeout of ["5s", "6s"]) {
      const { kind } = await sidecar.runtime.apply(offered(sidecar, { upstreams: { up: { ...up, timeout } } }));
      assert.equal(kind, "applied");
      assert.equal(await attempts(), 2);
    }
    assert.equal(asked(), 1, "a reload of something else is no reason to ask");

    [level, version] = [0, "v1alpha"];
    sidecar.clock.jump(660_000);
    await comeTo(1);
    assert.equal(asked(), 3, "again in both versions of the protocol");
  });
});

for (const service of [userService, goUserService])
  test(
    `reflection of ${service.name} says which of its methods may be made again`,
    skipUnless(...service.parts),
    async (t) => {
      const server = await service.start();
      t.after(() => server.stop());
      await inScope(async (scope) => {
        const up = { discovery: "static", endpoints: [server.address], retry: { descriptors: "reflection" } };
        const sidecar = await scope.sidecar({ upstreams: { up } });
        const caller = await connectPeer(scope, sidecar.outbound);
        const get = callHead("up").map(([field, value]) => [field, field === ":path" ? GET_USER : value] as const);
        const knows = (path: string) => sidecar.runtime.upstreams.target("up")?.retry?.methods.of(path);
        await eventually(
          async () => {
            await caller.answer(caller.request(get, true));
            return knows(GET_USER) !== undefined;
          },
          () => "the answer of the reflection service",
        );
        const proof = "the method's idempotency_level is NO_SIDE_EFFECTS by the reflection of its server";
        assert.deepEqual(knows(GET_USER), { proof, single: true });
        assert.deepEqual(knows("/user.v1.UserService/WatchUsers"), { proof, single: false });
        assert.equal(knows("/user.v1.UserService/CreateUser"), undefined);
      });
    },
  );

test("an answer of one message that stands still before its end is given up for another try; a stream's messages are given at once", async () => {
  await inScope(async (scope) => {
    let stuck = 0;
    const stick: Act = (peer, stream) => {
      peer.headers(stream, answerHead);
      peer.data(stream, message("answer"));
      stuck++;
    };
    let act: Act = trailersOnly(14);
    const server = await ScriptedServer.start(
      scope,
      reflecting("v1", (peer, stream) => act(peer, stream)),
    );
    const retry = { perTryTimeout: "300ms", descriptors: "reflection", backoff: { base: "1ms", max: "1ms" } };
    const up = { discovery: "static", endpoints: [server.address], retry };
    const sidecar = await scope.sidecar({ upstreams: { up } });
    const caller = await connectPeer(scope, sidecar.outbound);
    const request = (path: string): number =>
      caller.request(
        callHead("up").map(([name, value]) => [name, name === ":path" ? path : value] as const),
        true,
      );
    await eventually(
      async () => {
        await caller.answer(request("/test.v1.Test/Call"));
        return sidecar.lines.some(({ msg }) => msg === "a call is made again");
      },
      () => "the answer of the reflection service",
    );
    await sidecar.rest();
    act = (peer, stream) => {
      act = inTrailers(0, ["another"]);
      stick(peer, stream);
    };
    const answer = await caller.answer(request("/test.v1.Test/Call"));
    assert.equal(stuck, 1);
    assert.equal(fieldOf(answer.trailers ?? [], "grpc-status"), "0");
    assert.deepEqual(answer.data, message("another"));

    act = stick;
    const watch = request("/test.v1.Test/Watch");
    assert.deepEqual((await caller.next("data", watch)).data, message("answer"));
    caller.reset(watch, ErrorCode.CANCEL);
    await sidecar.rest();
    assert.equal(stuck, 2);
  });
});
