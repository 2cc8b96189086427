import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode, errorCodeName } from "../../src/http2/errors.ts";
import { CLIENT_PREFACE, Flag, FrameType } from "../../src/http2/frame.ts";
import { floods, hpackBomb, pathHead, slowRequest, stateless } from "../support/floods.ts";
import {
  continuationFrame,
  dataFrame,
  headersFrame,
  priorityFrame,
  resetFrame,
  settingsFrame,
  windowFrame,
} from "../support/frames.ts";
import { integer, type PlainField } from "../support/hpack-peer.ts";
import { fatalFrames } from "../support/malformed-frames.ts";
import { sampleValue } from "../support/prometheus.ts";
import { connectPeer } from "../support/raw-call.ts";
import { frame } from "../support/raw-frames.ts";
import { fieldOf, type RawPeer, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";
import { type App, BIG, startApp } from "./app.ts";

/** Callers that mean harm, each beside one that does not, on an inbound listener: both share the connection to the application. */

interface Scene {
  readonly sidecar: Sidecar;
  readonly app: App;
  readonly bad: RawPeer;
  readonly good: RawPeer;
}

async function makeScene(scope: Scope, limits: Parameters<typeof startApp>[1] = {}): Promise<Scene> {
  const app = await startApp(scope, limits);
  const sidecar = await scope.sidecar({
    service: { name: "up", address: app.address, protocol: "http2" },
    log: { access: "none" },
  });
  const good = await connectPeer(scope, sidecar.inbound);
  const bad = await connectPeer(scope, sidecar.inbound);
  await succeed(good);
  return { sidecar, app, bad, good };
}

/** A call that has to be answered. */
async function succeed(peer: RawPeer, path = "/fast"): Promise<number> {
  const answer = await peer.answer(peer.request(pathHead(path), true));
  assert.equal(fieldOf(answer.head, ":status"), "200");
  assert.equal(answer.reset, undefined);
  peer.received.length = 0;
  return answer.data.length;
}

async function unreadOf({ sidecar }: Scene): Promise<number> {
  return sampleValue(await sidecar.metrics(), "outrigger_unread_bytes") ?? Number.NaN;
}

/** The caller with no ill intent goes on while `attack` lasts, over the connection that stood before. */
async function unharmed(scene: Scene, attack: () => Promise<unknown>): Promise<void> {
  let over = false;
  const running = attack().finally(() => {
    over = true;
  });
  let calls = 0;
  while (!over || calls < 3) {
    await succeed(scene.good);
    calls++;
    await sleep(1);
  }
  await running;
  await succeed(scene.good);
}

async function ended(peer: RawPeer): Promise<string> {
  const goaway = await peer.next("goaway");
  return `${errorCodeName(goaway.code)}: ${goaway.debug}`;
}

test("a request that breaks a rule is reset alone, and the log says what was wrong with it", async () => {
  await inScope(async (scope) => {
    const { sidecar, bad } = await makeScene(scope);
    for (const value of [" a", "a\x00b"]) {
      const { reset } = await bad.answer(bad.request([...pathHead("/fast"), ["x-tenant", value]], true));
      assert.equal(reset, ErrorCode.PROTOCOL_ERROR);
    }
    await succeed(bad);
    const told = sidecar.lines.filter(({ msg }) => msg === "a caller's request was malformed and is reset");
    assert.deepEqual(
      told.map(({ level, cause }) => [level, cause]),
      [
        ["warn", "white space around the value of x-tenant"],
        ["warn", "a forbidden character in the value of x-tenant"],
      ],
    );
  });
});

for (const { name, opening, units, enough, reason } of floods) {
  const octets = Buffer.concat([opening, units(0, enough)]);
  test(`a flood of ${name} ends the connection that it came on, and harms no other caller`, async () => {
    await inScope(async (scope) => {
      const scene = await makeScene(scope);
      await unharmed(scene, async () => {
        for (let at = 0; at < octets.length; at += 20_000) {
          scene.bad.write(octets.subarray(at, at + 20_000));
          if (at % 200_000 === 0) await sleep(1);
        }
        assert.match(await ended(scene.bad), new RegExp(`^ENHANCE_YOUR_CALM: .*${reason.source}`));
      });
    });
  });
}

const malformed: readonly (readonly [string, Buffer, string])[] = [
  ["DATA on stream 0", dataFrame(0, "x"), "PROTOCOL_ERROR"],
  ["DATA whose padding is too long", frame(FrameType.DATA, Flag.PADDED, 1, Buffer.of(9)), "PROTOCOL_ERROR"],
  ["DATA over the frame size", dataFrame(1, Buffer.alloc(16_385)), "FRAME_SIZE_ERROR"],
  ["HEADERS on stream 0", headersFrame(0, Buffer.alloc(0)), "PROTOCOL_ERROR"],
  ["HEADERS that cannot be decoded", headersFrame(1, Buffer.of(0x80)), "COMPRESSION_ERROR"],
  ["HEADERS on an even stream", slowRequest(2), "PROTOCOL_ERROR"],
  ["PRIORITY on stream 0", priorityFrame(0, 1), "PROTOCOL_ERROR"],
  ["RST_STREAM of 3 octets", frame(FrameType.RST_STREAM, 0, 1, Buffer.alloc(3)), "FRAME_SIZE_ERROR"],
  ["RST_STREAM on an idle stream", resetFrame(99, 8), "PROTOCOL_ERROR"],
  ["SETTINGS of 7 octets", frame(FrameType.SETTINGS, 0, 0, Buffer.alloc(7)), "FRAME_SIZE_ERROR"],
  ["SETTINGS with a window of 2^31", settingsFrame([[4, 2 ** 31]]), "FLOW_CONTROL_ERROR"],
  ["PUSH_PROMISE", frame(FrameType.PUSH_PROMISE, 4, 1, Buffer.alloc(4)), "PROTOCOL_ERROR"],
  ["PING of 9 octets", frame(FrameType.PING, 0, 0, Buffer.alloc(9)), "FRAME_SIZE_ERROR"],
  ["GOAWAY of 4 octets", frame(FrameType.GOAWAY, 0, 0, Buffer.alloc(4)), "FRAME_SIZE_ERROR"],
  ["WINDOW_UPDATE of 0", windowFrame(0, 0), "PROTOCOL_ERROR"],
  ["WINDOW_UPDATE above 2^31-1", windowFrame(0, 0x7fff_ffff), "FLOW_CONTROL_ERROR"],
  ["CONTINUATION of nothing", continuationFrame(1, Buffer.alloc(0)), "PROTOCOL_ERROR"],
  ["a second preface", CLIENT_PREFACE, "FRAME_SIZE_ERROR"],
];

test("malformed frames of every type end the connection that they came on, and harm no other caller", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    await unharmed(scene, async () => {
      for (const [name, octets, code] of [...malformed, ...fatalFrames]) {
        const bad = await connectPeer(scope, scene.sidecar.inbound);
        bad.request(pathHead("/slow"), false);
        bad.write(octets);
        assert.match(await ended(bad), new RegExp(`^${code}`), name);
      }
    });
    assert.deepEqual([scene.app.made(), scene.app.over()], [1, 0]);
  });
});

test("callers that break the protocol over and over do not fill the log: what is left out is counted", async () => {
  await inScope(async (scope) => {
    const { sidecar } = await makeScene(scope);
    const breakRules = async (): Promise<void> => {
      const bad = await connectPeer(scope, sidecar.inbound);
      bad.write(dataFrame(0, "x"));
      await ended(bad);
    };
    await Promise.all(Array.from({ length: 40 }, breakRules));
    sidecar.clock.jump(1000);
    const told = (): typeof sidecar.lines =>
      sidecar.lines.filter(({ msg }) => String(msg).includes("broke the protocol"));
    await breakRules();
    const untold = told().reduce((sum, { suppressed }) => sum + Number(suppressed ?? 0), 0);
    assert.equal(told().length + untold, 41);
    assert.ok(untold > 0);
  });
});

const notPassedOn: readonly (readonly [string, PlainField[]])[] = [
  ["a control character in a value", pathHead("/fast", ["x-a", "a\x01b"])],
  ["DEL in a value", pathHead("/fast", ["x-a", "\x7f"])],
  ["a line break in a value", pathHead("/fast", ["x-a", "a\r\nx-b: c"])],
  ["a space in the path", pathHead("/fast here")],
  ["a method that is none", [[":method", "GE T"], ...pathHead("/fast").slice(1)]],
  ["an authority that is none", [...pathHead("/fast").slice(0, 3), [":authority", "a b"]]],
  ["two lengths", pathHead("/fast", ["content-length", "0"], ["content-length", "1"])],
  ["transfer-encoding", pathHead("/fast", ["transfer-encoding", "chunked"])],
  ["connection", pathHead("/fast", ["connection", "close"])],
  ["capitals", pathHead("/fast", ["X-A", "1"])],
  ["te: gzip", pathHead("/fast", ["te", "gzip"])],
  ["a pseudo-header of its own", pathHead("/fast", [":protocol", "websocket"])],
  ["an empty path", pathHead("")],
];

test("what servers end a connection for is not passed on to one", async () => {
  await inScope(async (scope) => {
    const { app, bad, good } = await makeScene(scope);
    app.asked.length = 0;
    for (const [name, fields] of notPassedOn) {
      const answer = await bad.answer(bad.request(fields, true));
      assert.equal(answer.reset, ErrorCode.PROTOCOL_ERROR, name);
    }
    assert.deepEqual(app.asked, []);
    await succeed(bad);
    await succeed(good);
    assert.deepEqual([app.made(), app.over()], [1, 0]);
  });
});

test("a header list over what the application takes is refused before it gets there", async () => {
  await inScope(async (scope) => {
    const { app, bad } = await makeScene(scope, { maxHeaderListSize: 8192 });
    app.asked.length = 0;
    const fields = pathHead("/fast");
    const size = fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
    const fill = (octets: number): PlainField => ["x-fill", "v".repeat(octets - size - 38)];
    const over = await bad.answer(bad.request([...fields, fill(8193)], true));
    assert.equal(fieldOf(over.head, "outrigger-reason"), "HEADERS_TOO_LARGE");
    assert.deepEqual(app.asked, []);
    const exact = await bad.answer(bad.request([...fields, fill(8192)], true));
    assert.equal(fieldOf(exact.head, ":status"), "200");
    assert.deepEqual([app.made(), app.over()], [1, 0]);
  });
});

test("an HPACK bomb is refused by its size, stream by stream, and costs no memory", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    const { first, bomb } = hpackBomb();
    scene.bad.write(headersFrame(1, first, { end: true }));
    await scene.bad.answer(1);
    const before = process.memoryUsage().rss;
    await unharmed(scene, async () => {
      for (let stream = 3; stream < 203; stream += 2) {
        scene.bad.write(headersFrame(stream, bomb, { end: true }));
        const answer = await scene.bad.answer(stream);
        assert.equal(fieldOf(answer.head, "outrigger-reason"), "HEADERS_TOO_LARGE");
        scene.bad.received.length = 0;
      }
    });
    // 100 bombs of 64 MB each.
    assert.ok(process.memoryUsage().rss - before < 200 * 2 ** 20);
  });
});

test("table sizes may be played with within the limit, and end the connection beyond it", async () => {
  await inScope(async (scope) => {
    const { bad, good } = await makeScene(scope);
    const updates = (...sizes: number[]): Buffer => Buffer.from(sizes.flatMap((size) => integer(size, 0x20, 5)));
    const block = stateless.encode(pathHead("/fast"));
    const games = [updates(0), updates(0, 4096), updates(4096, 0, 1, 4096), updates(31), updates(4096)];
    for (const [at, game] of games.entries()) {
      bad.write(headersFrame(2 * at + 1, Buffer.concat([game, block]), { end: true }));
      assert.equal(fieldOf((await bad.answer(2 * at + 1)).head, ":status"), "200");
    }
    bad.write(headersFrame(21, Buffer.concat([updates(4097), block]), { end: true }));
    assert.match(await ended(bad), /^COMPRESSION_ERROR: hpack: table size update to 4097/);
    await succeed(good);
  });
});

test("a thousand answers that nobody reads, behind zero windows, keep nobody else's waiting", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    scene.bad.settings([[4, 0]]);
    for (let at = 0; at < 990; at++) scene.bad.request(pathHead("/big"), true);
    await eventually(
      () => scene.app.asked.length > 990,
      () => `all are asked for, ${scene.app.asked.length}`,
    );
    await sleep(100);
    for (let call = 0; call < 5; call++) assert.equal(await succeed(scene.good, "/big"), BIG);
    assert.equal(scene.app.over(), 0);
    assert.equal(scene.bad.received.filter(({ kind }) => kind === "data").length, 0);
    // It may still change its mind, for one of them.
    for (let at = 1; at < 990; at++) scene.bad.reset(2 * at + 1, ErrorCode.CANCEL);
    scene.bad.settings([[4, 2_000_000]]);
    scene.bad.window(0, 2_000_000);
    assert.equal((await scene.bad.answer(1)).data.length, BIG);
  });
});

test("nor do those of two callers, where the application would take all of them on one connection", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope, { maxConcurrentStreams: 1_000_000 });
    const second = await connectPeer(scope, scene.sidecar.inbound);
    for (const bad of [scene.bad, second]) {
      bad.settings([[4, 0]]);
      for (let at = 0; at < 990; at++) bad.request(pathHead("/big"), true);
    }
    await eventually(
      () => scene.app.asked.length > 1980,
      () => `all are asked for, ${scene.app.asked.length}`,
    );
    await sleep(100);
    for (let call = 0; call < 5; call++) assert.equal(await succeed(scene.good, "/big"), BIG);
    assert.ok(scene.app.made() > 2, `${scene.app.made()} connections`);
    for (const bad of [scene.bad, second]) bad.destroy();
  });
});

test("a hundred unread answers on the one connection that all share keep nobody else's waiting", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    scene.bad.settings([[4, 0]]);
    for (let at = 0; at < 100; at++) {
      scene.bad.request(pathHead("/big"), true);
      await sleep(1);
    }
    await eventually(
      () => scene.app.asked.length === 101,
      () => `all are asked for, ${scene.app.asked.length}`,
    );
    await sleep(100);
    for (let call = 0; call < 3; call++) assert.equal(await succeed(scene.good, "/big"), BIG);
    assert.deepEqual([scene.app.made(), scene.app.over()], [1, 0]);
    scene.bad.destroy();
  });
});

test("a caller that stops reading keeps nobody else waiting", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope);
    scene.bad.socket.pause();
    for (let at = 0; at < 500; at++) scene.bad.request(pathHead("/big"), true);
    await unharmed(scene, () => sleep(300));
    assert.equal(await succeed(scene.good, "/big"), BIG);
    let unread = await unreadOf(scene);
    assert.ok(unread > 1_000_000, `${unread} octets`);
    scene.bad.destroy();
    for (let at = 0; at < 100 && unread > 0; at++) {
      await sleep(50);
      unread = await unreadOf(scene);
    }
    assert.equal(unread, 0);
  });
});

test("streams that send nothing keep nobody else waiting", async () => {
  await inScope(async (scope) => {
    const scene = await makeScene(scope, { maxConcurrentStreams: 100 });
    for (let at = 0; at < 1000; at++) scene.bad.request(pathHead("/echo"), false);
    await unharmed(scene, () => sleep(300));
    scene.bad.destroy();
  });
});

test("whoever has been silent longest without a call makes room for a newcomer", async () => {
  await inScope(async (scope) => {
    const { sidecar, bad, good, app } = await makeScene(scope);
    bad.request(pathHead("/slow"), true);
    await eventually(
      () => app.asked.length === 2,
      () => "the call has arrived",
    );
    const silent = await connectPeer(scope, sidecar.inbound);
    await succeed(silent);
    sidecar.clock.jump(1000);
    await succeed(good);
    const acceptor = sidecar.runtime.listeners.inbound?.acceptor;
    assert.equal(acceptor?.makeRoom(), true);
    await silent.next("goaway");
    await silent.next("closed");
    await succeed(good);
    good.destroy();
    await eventually(
      () => acceptor?.connectionCount === 1,
      () => "one is left",
    );
    assert.equal(acceptor?.makeRoom(), false, "the one that has a call stays");
    bad.destroy();
  });
});

test("a slow preface has 10 s", async () => {
  await inScope(async (scope) => {
    const { sidecar } = await makeScene(scope);
    const slow = await connectPeer(scope, sidecar.inbound, { polite: false });
    slow.write(CLIENT_PREFACE.subarray(0, 10));
    await sleep(20);
    sidecar.clock.jump(9000);
    slow.write(CLIENT_PREFACE.subarray(10, 12));
    await sleep(20);
    assert.equal(
      slow.received.some(({ kind }) => kind === "goaway" || kind === "closed"),
      false,
    );
    sidecar.clock.jump(1000);
    assert.match(await ended(slow), /^SETTINGS_TIMEOUT: no HTTP\/2 preface/);
    await slow.next("closed");
  });
});

test("a caller that half-closes its connection has given up", async () => {
  await inScope(async (scope) => {
    const { bad, good, app, sidecar } = await makeScene(scope);
    bad.request(pathHead("/slow"), true);
    bad.request(pathHead("/echo"), false);
    await eventually(
      () => app.asked.length === 3,
      () => "both calls have arrived",
    );
    bad.socket.end();
    await bad.next("closed");
    await sidecar.rest();
    await succeed(good);
    assert.deepEqual([app.made(), app.over()], [1, 0]);
  });
});

test("empty frames are not passed on, for which Envoy would end the connection", async () => {
  await inScope(async (scope) => {
    const server = await RawServer.listen();
    scope.onEnd(() => server.close());
    const sidecar = await scope.sidecar({ service: { name: "up", address: server.address, protocol: "http2" } });
    const bad = await connectPeer(scope, sidecar.inbound);
    const stream = bad.request(pathHead("/any"));
    for (let at = 0; at < 300; at++) bad.write(dataFrame(stream, ""));
    bad.write(dataFrame(stream, "x"));
    for (let at = 0; at < 100; at++) bad.write(dataFrame(stream, "", false, 255));
    bad.write(dataFrame(stream, "", true));
    const upstream = await server.peer();
    const got = await upstream.nextRequest();
    await eventually(
      () => upstream.received.some((message) => message.kind === "data" && message.end),
      () => "the end of the request",
    );
    const data = upstream.received.filter((message) => message.kind === "data");
    assert.deepEqual(
      data.filter(({ data: octets, end }) => octets.length === 0 && !end),
      [],
    );
    assert.equal(Buffer.concat(data.map(({ data: octets }) => octets)).toString(), "x");
    upstream.headers(got.stream, [[":status", "204"]], true);
    await bad.answer(stream);
  });
});
