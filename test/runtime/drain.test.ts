import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { freePort } from "../support/ports.ts";
import { answerHead, callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, RawPeer, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope } from "../support/with-proxy.ts";

const ok = [...answerHead, ["grpc-status", "0"]] as const;
/** The largest stream identifier: a GOAWAY that still allows every stream. */
const EVERY = 2 ** 31 - 1;

test("a drain goes out of discovery first, then asks callers to go, lets calls end, and keeps outbound for the application", async () => {
  await inScope(async (scope) => {
    const path = await mkdtemp(join(tmpdir(), "outrigger-test-"));
    scope.onEnd(() => rm(path, { recursive: true, force: true }));
    const application = await RawServer.listen();
    scope.onEnd(() => application.close());
    const other = await RawServer.listen();
    scope.onEnd(() => other.close());
    const sidecar = await scope.sidecar({
      service: { name: "up", address: application.address },
      discovery: { directory: { path } },
      upstreams: { other: { discovery: "static", endpoints: [other.address] } },
      drain: { notice: "5s", grace: "60s" },
    });
    const { runtime } = sidecar;
    const caller = await connectPeer(scope, sidecar.inbound);
    const own = await connectPeer(scope, sidecar.outbound);
    await eventually(
      async () => (await readdir(path)).length > 0,
      () => "the service is published",
    );
    const running = caller.request(callHead("up"), true);
    const app = await application.peer();
    const first = await app.nextRequest();

    const drained = runtime.drain();
    assert.equal(runtime.drain(), drained, "asking twice is asking once");
    assert.ok(!runtime.ready().ready);
    await eventually(
      async () => (await readdir(path)).filter((name) => name.endsWith(".json")).length === 0,
      () => "the service is withdrawn",
    );
    // In the time of notice everything goes on: old connections, new ones, and new calls.
    const late = await connectPeer(scope, sidecar.inbound);
    for (const peer of [caller, late]) {
      const stream = peer.request(callHead("up"), true);
      app.headers((await app.nextRequest()).stream, ok, true);
      assert.equal(fieldOf((await peer.answer(stream)).head, "grpc-status"), "0");
    }
    assert.deepEqual(
      caller.received.filter(({ kind }) => kind === "goaway"),
      [],
    );

    sidecar.clock.jump(5000);
    const goaway = await caller.next("goaway");
    assert.deepEqual([goaway.last, goaway.code], [EVERY, 0], "first one that allows everything");
    const final = await caller.next("goaway");
    assert.deepEqual(
      [final.last, final.code],
      [3, 0],
      "then, once the caller has seen it, the last stream that was taken",
    );
    await eventually(
      () => late.received.some(({ kind }) => kind === "closed"),
      () => "a connection without a call is closed",
    );
    await assert.rejects(RawPeer.connect(sidecar.inbound), /ECONNREFUSED/);

    // The application's own calls go on while what came in is not over.
    const outgoing = own.request(callHead("other"), true);
    const upstream = await other.peer();
    upstream.headers((await upstream.nextRequest()).stream, ok, true);
    assert.equal(fieldOf((await own.answer(outgoing)).head, "grpc-status"), "0");

    app.headers(first.stream, ok, true);
    assert.equal(fieldOf((await caller.answer(running)).head, "grpc-status"), "0");
    await eventually(
      () => caller.received.some(({ kind }) => kind === "closed"),
      () => "the connection ends with its last call",
    );
    const again = own.request(callHead("other"), true);
    upstream.headers((await upstream.nextRequest()).stream, ok, true);
    assert.equal(fieldOf((await own.answer(again)).head, "grpc-status"), "0", "outbound stays");

    own.end();
    await application.close();
    assert.equal(await drained, 0, "nothing had to be cut");
    const told = sidecar.lines.filter(({ direction, level, msg }) => direction && level === "info" && msg !== "call");
    assert.deepEqual(
      told.map(({ direction, msg }) => `${String(direction)}: ${String(msg)}`),
      [
        "inbound: draining: callers have 5000 ms to hear of it",
        "inbound: callers are asked to go; 1 calls are under way",
        "inbound: every call has ended",
        "outbound: stays until the application has gone",
        "outbound: the application has gone",
      ],
    );
  });
});

test("a drain with nothing under way, the application gone, answers calls of callers who have not heard of it yet", async () => {
  await inScope(async (scope) => {
    const address = `127.0.0.1:${await freePort()}`;
    const sidecar = await scope.sidecar({ service: { name: "up", address }, drain: { notice: "1s", grace: "60s" } });
    // It hears late: it answers PING when the test says so.
    const caller = await connectPeer(scope, sidecar.inbound, { pong: false, sidecar: true });
    await caller.next("settings");
    const drained = sidecar.runtime.drain();
    await eventually(
      () => {
        sidecar.clock.jump(200);
        return caller.received.some(({ kind }) => kind === "goaway");
      },
      () => "the end of the notice",
    );
    assert.equal((await caller.next("goaway")).last, EVERY);
    const { payload } = await caller.next("ping");
    await new Promise((resolve) => setTimeout(resolve, 60));
    const stream = caller.request(callHead("up"), true);
    const { head } = await caller.answer(stream);
    assert.deepEqual(
      ["grpc-status", "outrigger-reason", "outrigger-unprocessed"].map((name) => fieldOf(head, name)),
      ["14", "CONNECT_REFUSED", "1"],
    );
    caller.pong(payload);
    assert.equal((await caller.next("goaway")).last, stream);
    assert.equal(await drained, 0);
  });
});

test("a sidecar without a service gives no notice: it goes when its application has gone", async () => {
  await inScope(async (scope) => {
    const sidecar = await scope.sidecar({ drain: { notice: "60s", grace: "60s" } });
    const own = await connectPeer(scope, sidecar.outbound);
    await own.next("settings");
    const drained = sidecar.runtime.drain();
    let over = false;
    void drained.then(() => {
      over = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.ok(!over, "the application is still there");
    own.end();
    assert.equal(await drained, 0);
  });
});

test("what has not ended when grace ends is cut and counted, inbound and outbound", async () => {
  await inScope(async (scope) => {
    const application = await RawServer.listen();
    scope.onEnd(() => application.close());
    const sidecar = await scope.sidecar({
      service: { name: "up", address: application.address },
      upstreams: { other: { discovery: "static", endpoints: [application.address] } },
      drain: { notice: "1s", grace: "5s" },
    });
    const caller = await connectPeer(scope, sidecar.inbound);
    const own = await connectPeer(scope, sidecar.outbound);
    const streams = [
      [caller, caller.request(callHead("up"), true)],
      [caller, caller.request(callHead("up"), true)],
      [own, own.request(callHead("other"), true)],
    ] as const;
    await eventually(
      () => application.peers.flatMap(({ received }) => received).filter(({ kind }) => kind === "headers").length === 3,
      () => "three calls",
    );
    const drained = sidecar.runtime.drain();
    for (let second = 0; second < 8; second++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      sidecar.clock.jump(1000);
    }
    assert.equal(await drained, 3);
    for (const [peer, stream] of streams)
      assert.equal(fieldOf((await peer.answer(stream)).head, "outrigger-reason"), "DRAINING");
  });
});
