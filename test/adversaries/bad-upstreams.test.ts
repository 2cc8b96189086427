import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode } from "../../src/http2/errors.ts";
import { Flag, FrameType } from "../../src/http2/frame.ts";
import { SettingId } from "../../src/http2/settings.ts";
import {
  continuationFrame,
  dataFrame,
  goawayFrame,
  headersFrame,
  pingFrame,
  resetFrame,
  settingsFrame,
  windowFrame,
} from "../support/frames.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { answerHead, callHead, connectPeer, message } from "../support/raw-call.ts";
import { frame } from "../support/raw-frames.ts";
import { fieldOf, type RawAnswer, type RawPeer, type RawPeerOptions, RawServer } from "../support/raw-peer.ts";
import { inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";
import { startApp } from "./app.ts";

/**
 * Upstreams that misbehave: those of gRPC's negative HTTP/2 interop tests, and those that break the protocol. Beside each is an
 * upstream that does not, which the same caller asks over the same connection.
 */

interface Scene {
  readonly sidecar: Sidecar;
  readonly caller: RawPeer;
  readonly bad: RawServer;
}

const ok: readonly PlainField[] = [["grpc-status", "0"]];

async function makeScene(scope: Scope, options: RawPeerOptions = {}): Promise<Scene> {
  const bad = await RawServer.listen(options);
  scope.onEnd(() => bad.close());
  const good = await startApp(scope);
  const upstream = (address: string) => ({ discovery: "static", endpoints: [address] });
  const sidecar = await scope.sidecar({
    identity: { name: "caller" },
    upstreams: { up: upstream(bad.address), good: upstream(good.address) },
    log: { access: "none" },
  });
  return { sidecar, bad, caller: await connectPeer(scope, sidecar.outbound) };
}

/** The caller's connection is as good as new for other upstreams. */
async function askGood({ caller }: Scene): Promise<void> {
  const fields: PlainField[] = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/fast"],
    [":authority", "good"],
  ];
  const answer = await caller.answer(caller.request(fields, true));
  assert.equal(fieldOf(answer.head, ":status"), "200");
}

/** A call to the upstream that misbehaves, which has got it when this returns. */
async function begin(scene: Scene): Promise<{ stream: number; upstream: RawPeer; at: number }> {
  const stream = scene.caller.request(callHead("up"), true);
  const upstream = await scene.bad.peer();
  return { stream, upstream, at: (await upstream.nextRequest()).stream };
}

const statusOf = ({ head, trailers }: RawAnswer): string | undefined => fieldOf(trailers ?? head, "grpc-status");
const reasonOf = ({ head, trailers }: RawAnswer): string | undefined => fieldOf(trailers ?? head, "outrigger-reason");

test("goaway: the call under way is finished, and the next one goes over another connection", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    const { stream, upstream, at } = await begin(scene);
    upstream.goaway(at);
    upstream.headers(at, answerHead);
    upstream.data(at, message("whole"));
    upstream.headers(at, ok, true);
    const first = await scene.caller.answer(stream);
    assert.deepEqual([statusOf(first), first.data], ["0", message("whole")]);
    const next = await begin(scene);
    assert.notEqual(next.upstream, upstream);
    next.upstream.headers(next.at, [...answerHead, ...ok], true);
    assert.equal(statusOf(await scene.caller.answer(next.stream)), "0");
    await askGood(scene);
  });
});

const resets: readonly (readonly [string, (upstream: RawPeer, at: number) => void, number])[] = [
  ["rst_after_header", (upstream, at) => upstream.headers(at, answerHead), 0],
  [
    "rst_during_data",
    (upstream, at) => {
      upstream.headers(at, answerHead);
      upstream.data(at, message("half of it").subarray(0, 7));
    },
    7,
  ],
  [
    "rst_after_data",
    (upstream, at) => {
      upstream.headers(at, answerHead);
      upstream.data(at, message("all of it"));
    },
    14,
  ],
];

for (const [name, misbehave, octets] of resets) {
  test(`${name}: what came is passed on, and the call fails with the reason`, async () => {
    await inScope(async (scope) => {
      const scene = await makeScene(scope);
      const { stream, upstream, at } = await begin(scene);
      misbehave(upstream, at);
      upstream.reset(at, ErrorCode.NO_ERROR);
      const answer = await scene.caller.answer(stream);
      assert.equal(answer.data.length, octets);
      assert.deepEqual([statusOf(answer), reasonOf(answer)], ["13", "RST_STREAM"]);
      assert.equal(scene.bad.peers.length, 1, "a reset costs no connection");
      await askGood(scene);
    });
  });
}

test("ping: PINGs between all frames are answered and do not disturb the call", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    const { stream, upstream, at } = await begin(scene);
    upstream.ping("one");
    upstream.headers(at, answerHead);
    upstream.ping("two");
    upstream.data(at, message("whole"));
    upstream.ping("three");
    upstream.headers(at, ok, true);
    assert.equal(statusOf(await scene.caller.answer(stream)), "0");
    for (const text of ["one", "two", "three"]) {
      const pong = await upstream.next("ping");
      assert.deepEqual([pong.ack, pong.payload.toString()], [true, text.padEnd(8)]);
    }
    await askGood(scene);
  });
});

test("max_streams: with a limit of one stream calls never share a connection, and all are answered", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope, { settings: [[SettingId.MAX_CONCURRENT_STREAMS, 1]] });
    const first = await begin(scene);
    first.upstream.headers(first.at, [...answerHead, ...ok], true);
    assert.equal(statusOf(await scene.caller.answer(first.stream)), "0");
    const calls = Array.from({ length: 10 }, () => scene.caller.request(callHead("up"), true));
    const answers = Promise.all(calls.map((stream) => scene.caller.answer(stream)));
    let done = false;
    void answers.finally(() => {
      done = true;
    });
    const open = new Map<RawPeer, number>();
    while (!done) {
      for (const peer of scene.bad.peers) {
        const last = peer.received.findLast((one) => one.kind === "headers")?.stream ?? 0;
        if (last <= (open.get(peer) ?? (peer === first.upstream ? first.at : 0))) continue;
        open.set(peer, last);
        peer.headers(last, [...answerHead, ...ok], true);
      }
      await sleep(1);
    }
    assert.deepEqual(new Set((await answers).map(statusOf)), new Set(["0"]));
    await askGood(scene);
  });
});

const many = (count: number, make: (at: number) => Uint8Array): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, at) => make(at)));

/** What an upstream may not send while a call is open on stream `at`; its connection ends with the code. */
const broken: readonly (readonly [string, (at: number) => Uint8Array, number])[] = [
  ["DATA on stream 0", () => dataFrame(0, "x"), ErrorCode.PROTOCOL_ERROR],
  ["DATA on a stream that was never opened", () => dataFrame(99, "x"), ErrorCode.PROTOCOL_ERROR],
  ["HEADERS on a stream of its own", () => headersFrame(2, Buffer.of(0x88)), ErrorCode.PROTOCOL_ERROR],
  ["HEADERS that cannot be decoded", (at) => headersFrame(at, Buffer.of(0x80)), ErrorCode.COMPRESSION_ERROR],
  ["PUSH_PROMISE", (at) => frame(FrameType.PUSH_PROMISE, 4, at, Buffer.alloc(4)), ErrorCode.PROTOCOL_ERROR],
  ["SETTINGS that enable push", () => settingsFrame([[SettingId.ENABLE_PUSH, 1]]), ErrorCode.PROTOCOL_ERROR],
  ["RST_STREAM of 5 octets", (at) => frame(FrameType.RST_STREAM, 0, at, Buffer.alloc(5)), ErrorCode.FRAME_SIZE_ERROR],
  ["a window above 2^31-1", () => windowFrame(0, 0x7fff_ffff), ErrorCode.FLOW_CONTROL_ERROR],
  ["a frame over the frame size", (at) => dataFrame(at, Buffer.alloc(16_385)), ErrorCode.FRAME_SIZE_ERROR],
  ["a flood of PING", () => many(300, () => pingFrame()), ErrorCode.ENHANCE_YOUR_CALM],
  ["a flood of SETTINGS", () => many(100, () => settingsFrame()), ErrorCode.ENHANCE_YOUR_CALM],
  ["a flood of GOAWAY", (at) => many(20, () => goawayFrame(at, 0)), ErrorCode.ENHANCE_YOUR_CALM],
  [
    "a flood of RST_STREAM",
    (at) => Buffer.concat([resetFrame(at, 8), many(5100, () => resetFrame(at, 8))]),
    ErrorCode.ENHANCE_YOUR_CALM,
  ],
  [
    "a flood of empty DATA",
    (at) => Buffer.concat([headersFrame(at, Buffer.of(0x88)), many(600, () => frame(FrameType.DATA, 0, at))]),
    ErrorCode.ENHANCE_YOUR_CALM,
  ],
  [
    "a flood of CONTINUATION",
    (at) =>
      Buffer.concat([
        headersFrame(at, Buffer.alloc(0), { whole: false }),
        many(20, () => continuationFrame(at, Buffer.alloc(0), false)),
      ]),
    ErrorCode.ENHANCE_YOUR_CALM,
  ],
  [
    "padding longer than its frame",
    (at) => frame(FrameType.HEADERS, Flag.PADDED | Flag.END_HEADERS, at, Buffer.of(9)),
    ErrorCode.PROTOCOL_ERROR,
  ],
];

for (const [name, make, code] of broken) {
  test(`an upstream that sends ${name} loses its connection, and the caller keeps its own`, async () => {
    await inScope(async (scope) => {
      const scene = await makeScene(scope);
      const { stream, upstream, at } = await begin(scene);
      upstream.write(make(at));
      const answer = await scene.caller.answer(stream);
      assert.notEqual(statusOf(answer) ?? `reset ${answer.reset}`, "0");
      assert.equal((await upstream.next("goaway")).code, code);
      await askGood(scene);
      const next = await begin(scene);
      assert.notEqual(next.upstream, upstream);
      next.upstream.headers(next.at, [...answerHead, ...ok], true);
      assert.equal(statusOf(await scene.caller.answer(next.stream)), "0");
    });
  });
}

test("interim heads without an end fail the call, and no other one", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    const { stream, upstream, at } = await begin(scene);
    for (let count = 0; count < 17; count++) upstream.headers(at, [[":status", "103"]]);
    const answer = await scene.caller.answer(stream);
    assert.deepEqual([answer.interim.length, reasonOf(answer)], [16, "PROTOCOL"]);
    await askGood(scene);
    assert.equal(scene.bad.peers.length, 1);
  });
});
