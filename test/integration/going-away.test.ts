import assert from "node:assert/strict";
import { test } from "node:test";
import { type Client, Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { SettingId } from "../../src/http2/settings.ts";
import { grpcClient, testService } from "../support/grpc-service.ts";
import { answerHead, callHead, inboundHop, outboundHop } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

const { unary } = testService;
const ok = [...answerHead, ["grpc-status", "0"]] as const;

function callUnary(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(unary.path, unary.requestSerialize, unary.responseDeserialize, Buffer.from("x"), (error) =>
      error === null ? resolve() : reject(error),
    );
  });
}

test("connections of a server that ends each after 200 ms are replaced without a call that fails", async () => {
  await inScope(async (scope) => {
    const server = new Server({ "grpc.max_connection_age_ms": 200, "grpc.max_connection_age_grace_ms": 5000 });
    const implementation = {
      unary: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => callback(null, call.request),
    };
    server.addService({ unary }, implementation);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    scope.onEnd(() => server.forceShutdown());
    const endpoints = [`127.0.0.1:${port}`];
    const upstreams = { up: { discovery: "static", endpoints } };
    const sidecar = await scope.sidecar({ upstreams, log: { access: "errors" } });
    const client = grpcClient(sidecar.outbound, "up");
    scope.onEnd(() => client.close());
    let calls = 0;
    const end = performance.now() + 1500;
    const worker = async (): Promise<void> => {
      for (; performance.now() < end || calls < 200; calls++) await callUnary(client);
    };
    await Promise.all(Array.from({ length: 20 }, worker));
    assert.deepEqual(sidecar.calls, []);
    assert.equal(await sidecar.handled({ direction: "outbound", grpc_status: "OK" }), calls);
  });
});

test("a GOAWAY that passes a call on the way costs the call nothing", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope);
    const begun = new Set<RawPeer>();
    /** Every connection takes one call, says that this was the last, and answers it. */
    const serve = (): void => {
      for (const peer of server.peers) {
        const first = peer.received.find(({ kind }) => kind === "headers");
        if (first === undefined || begun.has(peer)) continue;
        begun.add(peer);
        peer.goaway(first.stream);
        peer.headers(first.stream, ok, true);
      }
    };
    for (let round = 0; round < 50; round++) {
      const streams = [caller.request(callHead("up"), true), caller.request(callHead("up"), true)];
      let over = false;
      const answers = Promise.all(streams.map((stream) => caller.answer(stream))).finally(() => {
        over = true;
      });
      await eventually(
        () => {
          serve();
          return over;
        },
        () => `the calls of round ${round}`,
      );
      for (const { head } of await answers) assert.equal(fieldOf(head, "grpc-status"), "0");
    }
    await sidecar.rest();
    assert.equal(begun.size, 100, "each call was taken by a connection of its own");
  });
});

for (const limit of [1, 10, 100]) {
  test(`streams that last do not stop calls at a peer that allows ${limit} a connection`, async () => {
    await inScope(async (scope) => {
      const settings = [[SettingId.MAX_CONCURRENT_STREAMS, limit]] as const;
      const { caller, server } = await outboundHop(scope, { upstream: { settings } });
      const lasting = Array.from({ length: limit * 2 }, () => caller.request(callHead("up", ["x-kind", "lasting"])));
      const answered = new Set<object>();
      /** Answers every call that is not to last. */
      const answer = (): void => {
        for (const peer of server.peers)
          for (const frame of peer.received) {
            if (frame.kind !== "headers" || answered.has(frame)) continue;
            answered.add(frame);
            if (fieldOf(frame.fields, "x-kind") !== "lasting") peer.headers(frame.stream, ok, true);
          }
      };
      const calls = Array.from({ length: 60 }, () => caller.request(callHead("up"), true));
      const replies = calls.map((stream) => caller.answer(stream, 10_000));
      let over = false;
      const all = Promise.all(replies).finally(() => {
        over = true;
      });
      await eventually(
        () => {
          answer();
          return over;
        },
        () => `${answered.size} requests have come`,
        10_000,
      );
      for (const { head, reset } of await all)
        assert.deepEqual([fieldOf(head, "grpc-status"), reset], ["0", undefined]);
      assert.equal(answered.size, lasting.length + calls.length, "every stream was opened");
      for (const stream of lasting) caller.reset(stream, 8);
    });
  });
}

test("what a caller sent before it saw that it should go is dropped, and its calls under way go on", async () => {
  await inScope(async (scope) => {
    const { caller, server, sidecar } = await inboundHop(scope);
    const running = caller.request(callHead("up"));
    const application = await server.peer();
    const request = await application.nextRequest();
    sidecar.runtime.listeners.inbound?.acceptor.shutdown("draining");
    await caller.next("goaway");
    await caller.next("goaway");
    const late = caller.request(callHead("up"));
    caller.data(late, Buffer.alloc(1000));
    caller.data(late, Buffer.alloc(1000), true);
    caller.window(late, 1000);
    caller.data(running, Buffer.from("the end"), true);
    assert.ok((await application.next("data", request.stream)).end);
    application.headers(request.stream, ok, true);
    assert.equal(fieldOf((await caller.answer(running)).head, "grpc-status"), "0");
    assert.equal(application.received.filter(({ kind }) => kind === "headers").length, 1);
  });
});
