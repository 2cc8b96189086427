import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeRequest, encodeResponse } from "../../src/cluster/health-message.ts";
import { callHead, inboundHop, type OneHop } from "../support/raw-call.ts";
import { fieldOf, type RawPeer } from "../support/raw-peer.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

const answerHead = [
  [":status", "200"],
  ["content-type", "application/grpc"],
] as const;
const NOT_SERVING = encodeResponse("NOT_SERVING");
const SERVING = encodeResponse("SERVING");

function ask(caller: RawPeer, method: "Check" | "Watch"): number {
  const head = callHead("up").map((field) =>
    field[0] === ":path" ? ([":path", `/grpc.health.v1.Health/${method}`] as const) : field,
  );
  const stream = caller.request(head);
  caller.data(stream, encodeRequest(""), true);
  return stream;
}

function beginDrain({ sidecar }: OneHop): void {
  sidecar.runtime.listeners.inbound?.acceptor.beginDrain();
}

test("the application answers Check, until the drain begins: from then on the sidecar does", async () => {
  await inScope(async (scope) => {
    const hop = await inboundHop(scope);
    const { caller, server, sidecar } = hop;
    const before = ask(caller, "Check");
    const app = await server.peer();
    const request = await app.nextRequest();
    app.headers(request.stream, answerHead);
    app.data(request.stream, SERVING);
    app.headers(request.stream, [["grpc-status", "0"]], true);
    assert.deepEqual((await caller.answer(before)).data, SERVING);
    // One that is under way when it begins.
    const during = ask(caller, "Check");
    const open = await app.nextRequest();
    beginDrain(hop);
    const told = await caller.answer(during);
    assert.deepEqual([told.data, fieldOf(told.trailers ?? [], "grpc-status")], [NOT_SERVING, "0"]);
    assert.equal((await app.next("reset", open.stream)).code, 8, "the application is told that nobody waits");
    const after = await caller.answer(ask(caller, "Check"));
    assert.deepEqual([after.data, fieldOf(after.trailers ?? [], "grpc-status")], [NOT_SERVING, "0"]);
    await sidecar.call(2);
    assert.deepEqual(
      sidecar.calls.map(({ upstream, grpc_status: status, origin }) => [upstream, status, origin]),
      [
        ["up", "OK", "app"],
        ["up", "OK", "proxy"],
        ["up", "OK", "proxy"],
      ],
    );
  });
});

test("other calls go to the application while the drain gives notice", async () => {
  await inScope(async (scope) => {
    const hop = await inboundHop(scope);
    beginDrain(hop);
    const stream = hop.caller.request(callHead("up"), true);
    const app = await hop.server.peer();
    const request = await app.nextRequest();
    app.headers(request.stream, [...answerHead, ["grpc-status", "5"]], true);
    assert.equal(fieldOf((await hop.caller.answer(stream)).head, "grpc-status"), "5");
  });
});

test("who watches hears NOT_SERVING after what the application said, and nothing of it any more", async () => {
  await inScope(async (scope) => {
    const hop = await inboundHop(scope);
    const { caller, server } = hop;
    const stream = ask(caller, "Watch");
    const app = await server.peer();
    const request = await app.nextRequest();
    app.headers(request.stream, answerHead);
    app.data(request.stream, SERVING);
    assert.deepEqual((await caller.next("data", stream)).data, SERVING);
    beginDrain(hop);
    const { data, end } = await caller.next("data", stream);
    assert.deepEqual([data, end], [NOT_SERVING, false]);
    assert.equal((await app.next("reset", request.stream)).code, 8);
    caller.reset(stream, 8);
  });
});

test("a message of the application that is on its way is passed on whole before NOT_SERVING", async () => {
  await inScope(async (scope) => {
    const hop = await inboundHop(scope);
    const { caller, server } = hop;
    const stream = ask(caller, "Watch");
    const app = await server.peer();
    const request = await app.nextRequest();
    app.headers(request.stream, answerHead);
    app.data(request.stream, SERVING.subarray(0, 3));
    await caller.next("data", stream);
    beginDrain(hop);
    app.data(request.stream, SERVING.subarray(3));
    await eventually(
      () => caller.octets(stream) === SERVING.length + NOT_SERVING.length,
      () => `${caller.octets(stream)} octets`,
    );
    const parts = caller.received.filter((message) => message.kind === "data");
    assert.deepEqual(Buffer.concat(parts.map(({ data }) => data)), Buffer.concat([SERVING, NOT_SERVING]));
    caller.reset(stream, 8);
  });
});

test("who begins to watch while it drains hears NOT_SERVING, and its end when all calls have ended", async () => {
  await inScope(async (scope) => {
    const hop = await inboundHop(scope);
    const { caller, server, sidecar } = hop;
    const { inbound } = sidecar.runtime.listeners;
    assert.ok(inbound !== undefined);
    beginDrain(hop);
    const watch = ask(caller, "Watch");
    assert.deepEqual((await caller.next("data", watch)).data, NOT_SERVING);
    assert.equal(inbound.acceptor.pendingCalls, 0, "nobody waits for who watches");
    const stream = caller.request(callHead("up"), true);
    const app = await server.peer();
    const request = await app.nextRequest();
    assert.equal(inbound.acceptor.pendingCalls, 1);
    app.headers(request.stream, [...answerHead, ["grpc-status", "0"]], true);
    await caller.answer(stream);
    inbound.acceptor.endWatches();
    const { fields, end } = await caller.next("headers", watch);
    // The head came before NOT_SERVING did.
    const trailers = end ? fields : (await caller.next("headers", watch)).fields;
    assert.deepEqual([fieldOf(trailers, "grpc-status"), fieldOf(trailers, "outrigger-reason")], ["14", "DRAINING"]);
  });
});
