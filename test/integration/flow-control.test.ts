import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { defaultLimits } from "../../src/http2/limits.ts";
import { seededRandom } from "../support/random.ts";
import { answerHead, callHead, connectPeer, inboundHop, message, outboundHop } from "../support/raw-call.ts";
import { Pourer } from "../support/raw-flow.ts";
import { fieldOf, type RawPeer, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

const { streamWindow, connectionWindow } = defaultLimits;
/** The window that a peer has which says nothing of it. */
const DEFAULT = 65_535;

function noise(octets: number, seed = 1): Buffer {
  const random = seededRandom(seed);
  const buffer = Buffer.alloc(octets);
  for (let at = 0; at + 4 <= octets; at += 4) buffer.writeUInt32LE(Math.floor(random() * 2 ** 32), at);
  return buffer;
}

/** Waits until a number has stood still for some time. */
async function still(read: () => number): Promise<number> {
  let last = read();
  for (let since = performance.now(); performance.now() - since < 100; ) {
    await sleep(5);
    if (read() === last) continue;
    last = read();
    since = performance.now();
  }
  return last;
}

/** All octets of a stream, in order. */
function collected(peer: RawPeer, stream: number): Buffer {
  const parts: Buffer[] = [];
  for (const frame of peer.received) if (frame.kind === "data" && frame.stream === stream) parts.push(frame.data);
  return Buffer.concat(parts);
}

test("an upstream can send no more than the windows hold while its caller does not read, and all of it once it does", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope, { caller: { credit: false } });
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const { stream: at } = await upstream.nextRequest();
    upstream.headers(at, answerHead);
    const pourer = new Pourer(upstream);
    const octets = noise(1_000_000);
    const pouring = pourer.pourAll(at, octets, true, 3000);
    await eventually(
      () => caller.octets(stream) === DEFAULT,
      () => `the caller's window to be used: ${caller.octets(stream)} octets have come`,
    );
    const sent = await still(() => pourer.sentOn(at));
    assert.equal(caller.octets(stream), DEFAULT, "the caller's window is used");
    assert.ok(sent >= DEFAULT + streamWindow / 2 && sent <= DEFAULT + streamWindow, `${sent} octets left the upstream`);
    caller.window(0, 2_000_000);
    caller.window(stream, 2_000_000);
    assert.equal(await pouring, octets.length);
    await eventually(
      () => caller.octets(stream) === octets.length,
      () => `${caller.octets(stream)} of ${octets.length} octets`,
    );
    assert.ok(collected(caller, stream).equals(octets), "octet by octet");
  });
});

test("a caller can send no more than the windows hold while the application does not read, and all of it once it does", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await inboundHop(scope, { upstream: { credit: false } });
    const stream = caller.request(callHead("up"));
    const application = await server.peer();
    const { stream: at } = await application.nextRequest();
    const pourer = new Pourer(caller);
    const octets = noise(1_000_000, 2);
    const pouring = pourer.pourAll(stream, octets, true, 3000);
    await eventually(
      () => application.octets(at) === DEFAULT,
      () => `the application's window to be used: ${application.octets(at)} octets have come`,
    );
    const sent = await still(() => pourer.sentOn(stream));
    assert.equal(application.octets(at), DEFAULT);
    assert.ok(sent >= DEFAULT + streamWindow / 2 && sent <= DEFAULT + streamWindow, `${sent} octets left the caller`);
    application.window(0, 2_000_000);
    application.window(at, 2_000_000);
    assert.equal(await pouring, octets.length);
    await eventually(
      () => application.octets(at) === octets.length,
      () => `${application.octets(at)} of ${octets.length} octets`,
    );
    assert.ok(collected(application, at).equals(octets), "octet by octet");
    application.headers(at, [...answerHead, ["grpc-status", "0"]], true);
    await caller.answer(stream);
  });
});

test("a reader who takes an octet at a time gets them in order", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope, { caller: { credit: false, settings: [[4, 0]] } });
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const { stream: at } = await upstream.nextRequest();
    upstream.headers(at, answerHead);
    const octets = noise(300, 3);
    upstream.data(at, octets);
    upstream.headers(at, [["grpc-status", "0"]], true);
    await caller.next("headers", stream);
    for (let got = 1; got <= octets.length; got++) {
      caller.window(stream, 1);
      await eventually(
        () => caller.octets(stream) === got,
        () => `${caller.octets(stream)} octets, not ${got}`,
      );
    }
    assert.ok(collected(caller, stream).equals(octets));
    assert.equal(fieldOf((await caller.next("headers", stream)).fields, "grpc-status"), "0");
  });
});

for (const size of [DEFAULT + 1, streamWindow, streamWindow + 1, connectionWindow, connectionWindow + 1]) {
  test(`a message of ${size} octets passes both ways through two sidecars`, async () => {
    await inScope(async (scope) => {
      const server = await RawServer.listen();
      scope.onEnd(() => server.close());
      const near = await scope.sidecar({ service: { name: "up", address: server.address } });
      const far = await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints: [near.inbound] } } });
      const caller = await connectPeer(scope, far.outbound);
      const body = message(noise(size - 5));
      const stream = caller.request(callHead("up"));
      const pouring = new Pourer(caller).pourAll(stream, body, true);
      const application = await server.peer();
      const { stream: at } = await application.nextRequest();
      assert.equal(await pouring, size);
      await eventually(
        () => application.octets(at) === size,
        () => `${application.octets(at)} of ${size} octets`,
      );
      assert.ok(collected(application, at).equals(body));
      application.headers(at, answerHead);
      assert.equal(await new Pourer(application).pourAll(at, body), size);
      application.headers(at, [["grpc-status", "0"]], true);
      const answer = await caller.answer(stream);
      assert.ok(answer.data.equals(body));
      for (const sidecar of [near, far]) await sidecar.rest();
    });
  });
}

test("readers that stand still do not stop the others on the same connections", async () => {
  await inScope(async (scope) => {
    const { caller, server } = await outboundHop(scope, { caller: { credit: false } });
    // The caller's connection has room, its streams do not: what their readers leave lies in the sidecar.
    caller.window(0, 100_000_000);
    const stalled: number[] = [];
    for (let at = 0; at < 40; at++) stalled.push(caller.request(callHead("up"), true));
    const upstream = await server.peer();
    const pourer = new Pourer(upstream);
    const pouring: Promise<number>[] = [];
    for (let at = 0; at < stalled.length; at++) {
      const { stream } = await upstream.nextRequest();
      upstream.headers(stream, answerHead);
      pouring.push(pourer.pourAll(stream, noise(1_000_000), true, 300));
    }
    await Promise.all(pouring);
    const stream = caller.request(callHead("up"), true);
    const peer = server.peers.at(-1) ?? upstream;
    const { stream: at } = await peer.nextRequest();
    peer.headers(at, answerHead);
    const body = message(noise(2000));
    const went = await (peer === upstream ? pourer : new Pourer(peer)).pourAll(at, body, false, 1000);
    assert.equal(went, body.length, "the upstream may send an answer");
    peer.headers(at, [["grpc-status", "0"]], true);
    assert.ok((await caller.answer(stream)).data.equals(body));
    for (const other of stalled) caller.reset(other, 8);
  });
});
