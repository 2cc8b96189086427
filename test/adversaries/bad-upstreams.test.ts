import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode, errorCodeName } from "../../src/http2/errors.ts";
import { Flag, FrameType } from "../../src/http2/frame.ts";
import { SettingId } from "../../src/http2/settings.ts";
import {
  continuationFrame,
  dataFrame,
  goawayFrame,
  headersFrame,
  pingFrame,
  priorityFrame,
  resetFrame,
  settingsFrame,
  windowFrame,
} from "../support/frames.ts";
import { integer, PeerEncoder, type PlainField, plain } from "../support/hpack-peer.ts";
import { fatalFrames } from "../support/malformed-frames.ts";
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
  ["a flood of PRIORITY", () => many(2500, (one) => priorityFrame(2 * one + 1, 0)), ErrorCode.ENHANCE_YOUR_CALM],
  ["a flood of WINDOW_UPDATE", () => many(12_500, () => windowFrame(0, 1)), ErrorCode.ENHANCE_YOUR_CALM],
  ["a flood of unknown frames", () => many(300, () => frame(0x42, 0, 0)), ErrorCode.ENHANCE_YOUR_CALM],
  [
    "answers on streams that are over",
    (at) => many(300, () => headersFrame(at, Buffer.of(0x88), { end: true })),
    ErrorCode.ENHANCE_YOUR_CALM,
  ],
  [
    "an update of the table over its limit",
    (at) => headersFrame(at, Buffer.from([...integer(4097, 0x20, 5), 0x88])),
    ErrorCode.COMPRESSION_ERROR,
  ],
  [
    "an update of the table after a field",
    (at) => headersFrame(at, Buffer.from([0x88, ...integer(0, 0x20, 5)])),
    ErrorCode.COMPRESSION_ERROR,
  ],
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

test("malformed frames of every type cost an upstream its connection, and the caller one call each", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    for (const [name, octets, code] of fatalFrames) {
      const { stream, upstream } = await begin(scene);
      upstream.write(octets);
      const answer = await scene.caller.answer(stream);
      assert.equal(reasonOf(answer), "PROTOCOL", name);
      assert.equal(errorCodeName((await upstream.next("goaway")).code), code, name);
      await askGood(scene);
      scene.caller.received.length = 0;
    }
  });
});

test("tables may be played with within the limit, and the answer is read as it was meant", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    const updates = (...sizes: number[]): number[] => sizes.flatMap((size) => integer(size, 0x20, 5));
    for (const game of [updates(0), updates(0, 4096), updates(31, 4096), updates(4096, 0)]) {
      const stream = scene.caller.request(callHead("up"), true);
      const upstream = scene.bad.peers[0] ?? (await scene.bad.peer());
      const { stream: at } = await upstream.nextRequest();
      upstream.write(
        headersFrame(at, Buffer.from([...game, ...new PeerEncoder(0, () => "none").encode([...answerHead, ...ok])]), {
          end: true,
        }),
      );
      assert.equal(statusOf(await scene.caller.answer(stream)), "0");
    }
    assert.equal(scene.bad.peers.length, 1);
  });
});

test("an answer's list of 65,536 octets is passed on, an octet more or an HPACK bomb costs the call alone", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    const plainEncoder = new PeerEncoder(0, () => "none");
    const fields = [...answerHead, ...ok];
    const size = fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
    const list = (octets: number): Buffer =>
      plainEncoder.encode([...fields, ["x-fill", "v".repeat(octets - size - 38)]]);
    const insert = Buffer.from([
      ...plainEncoder.encode(answerHead),
      0x40,
      ...plain("x-bomb"),
      ...plain("v".repeat(3900)),
    ]);
    const bomb = Buffer.concat([insert, Buffer.alloc(10_000, integer(62, 0x80, 7)[0])]);
    for (const [block, status, reason] of [
      [list(65_536), "0", undefined],
      [list(65_537), "8", "HEADERS_TOO_LARGE"],
      [bomb, "8", "HEADERS_TOO_LARGE"],
      [list(1000), "0", undefined],
    ] as const) {
      const stream = scene.caller.request(callHead("up"), true);
      const upstream = scene.bad.peers[0] ?? (await scene.bad.peer());
      const { stream: at } = await upstream.nextRequest();
      const parts = Array.from({ length: Math.ceil(block.length / 16_384) }, (_, part) =>
        block.subarray(part * 16_384, (part + 1) * 16_384),
      );
      for (const [part, octets] of parts.entries()) {
        const whole = part === parts.length - 1;
        upstream.write(
          part === 0 ? headersFrame(at, octets, { end: true, whole }) : continuationFrame(at, octets, whole),
        );
      }
      const answer = await scene.caller.answer(stream);
      assert.deepEqual([statusOf(answer), reasonOf(answer)], [status, reason]);
      await askGood(scene);
    }
    assert.equal(scene.bad.peers.length, 1, "none of it costs the connection");
  });
});

test("an upstream that never opens a window keeps no call waiting that needs none", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope, { settings: [[SettingId.INITIAL_WINDOW_SIZE, 0]] });
    const first = await begin(scene);
    first.upstream.headers(first.at, [...answerHead, ...ok], true);
    assert.equal(statusOf(await scene.caller.answer(first.stream)), "0");
    const stuck: number[] = [];
    for (let call = 0; call < 50; call++) {
      const stream = scene.caller.request(callHead("up", ["grpc-timeout", "20S"]));
      scene.caller.data(stream, Buffer.alloc(10_000), true);
      stuck.push(stream);
      await first.upstream.nextRequest();
    }
    const next = scene.caller.request(callHead("up"), true);
    const { stream: at } = await first.upstream.nextRequest();
    first.upstream.headers(at, [...answerHead, ...ok], true);
    assert.equal(statusOf(await scene.caller.answer(next)), "0");
    await askGood(scene);
    assert.equal(first.upstream.octets(), 0);
    scene.sidecar.clock.jump(20_000);
    for (const stream of stuck) assert.equal(reasonOf(await scene.caller.answer(stream)), "DEADLINE_CLIENT");
    assert.equal(scene.bad.peers.length, 1);
  });
});

test("an upstream that takes the connection and says nothing has 5 s, and then another one is asked", async () => {
  await inScope(async (scope) => {
    const [mute, good] = [await RawServer.listen({ polite: false }), await RawServer.listen()];
    scope.onEnd(async () => void (await Promise.all([mute.close(), good.close()])));
    const sidecar = await scope.sidecar({
      identity: { name: "caller" },
      upstreams: { up: { discovery: "static", endpoints: [mute.address, good.address], balancer: "roundRobin" } },
      log: { access: "none" },
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    // One of two calls goes to each.
    const streams = [caller.request(callHead("up"), true), caller.request(callHead("up"), true)];
    const [peer, other] = [await mute.peer(), await good.peer()];
    const answer = async (one: RawPeer): Promise<void> => {
      one.headers((await one.nextRequest()).stream, [...answerHead, ...ok], true);
    };
    await answer(other);
    sidecar.clock.jump(4000);
    await sleep(20);
    assert.equal(peer.received.at(-1)?.kind === "closed", false);
    sidecar.clock.jump(1000);
    // The first connection has been idle for so long that it is not known whether the server lets it stand.
    await answer(await good.peer());
    for (const stream of streams) assert.equal(statusOf(await caller.answer(stream)), "0");
    assert.match((await peer.next("goaway")).debug, /no SETTINGS came in time/);
  });
});
