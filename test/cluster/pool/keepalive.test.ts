import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../../src/http2/errors.ts";
import { Flag, FrameType } from "../../../src/http2/frame.ts";
import { settled } from "../../support/clock.ts";
import { seededRandom } from "../../support/random.ts";
import { FrameReader } from "../../support/raw-frames.ts";
import { ClusterHarness } from "../cluster-harness.ts";
import { spec } from "../endpoints.ts";
import type { Accepted, FakeServer } from "../fake-server.ts";
import { NOTHING_LEFT, PoolHarness } from "./harness.ts";

/** Milliseconds on the clock when each PING arrived on a connection, answers left out. */
function pingsOn({ transport }: Accepted, now: () => number): number[] {
  const reader = new FrameReader();
  const times: number[] = [];
  transport.on("data", (chunk: Buffer) => {
    for (const { type, flags } of reader.push(chunk))
      if (type === FrameType.PING && (flags & Flag.ACK) === 0) times.push(now());
  });
  return times;
}

/** A pool with one connection on which a stream is open, to a server that holds it. */
async function silentCall(sidecar: boolean): Promise<{ harness: PoolHarness; server: Accepted; pings: number[] }> {
  const harness = new PoolHarness();
  harness.server.sidecar = sidecar;
  harness.server.answers = false;
  harness.call();
  await settled();
  const [server] = harness.server.accepted;
  assert.ok(server !== undefined);
  return { harness, server, pings: pingsOn(server, () => harness.clock.now()) };
}

test("a sidecar that has said nothing for 10 s is asked while it has a call, and 10 s after its answer again", async () => {
  const { harness, pings } = await silentCall(true);
  await harness.clock.pass(9999);
  assert.deepEqual(pings, []);
  await harness.clock.pass(35_001);
  assert.deepEqual(pings, [10_000, 20_000, 30_000, 40_000]);
  harness.answerAll();
  await settled();
  await harness.clock.pass(100_000);
  assert.equal(pings.length, 4, "no call, no question");
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("another server is asked after 310 s, which is beyond what servers take by default", async () => {
  const { harness, pings } = await silentCall(false);
  await harness.clock.pass(1_000_000);
  assert.deepEqual(pings, [310_000, 620_000, 930_000]);
  harness.answerAll();
  await settled();
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a server that talks is not asked", async () => {
  const { harness, server, pings } = await silentCall(true);
  for (let at = 0; at < 20; at++) {
    await harness.clock.pass(9000);
    server.connection.ping(() => {});
    await settled();
  }
  assert.deepEqual(pings, []);
  await harness.leftovers();
});

test("a peer that does not answer within 10 s is lost, is out, and those who wait are told", async () => {
  const { harness, server } = await silentCall(true);
  server.transport.allow(0);
  harness.server.mode = "hang";
  await harness.clock.pass(19_999);
  assert.deepEqual(harness.states, { open: 1 });
  await harness.clock.pass(1);
  assert.deepEqual(harness.states, { aborted: 1 });
  const [lost] = harness.calls;
  assert.equal(lost?.abort?.kind, "lost");
  assert.match(
    lost?.abort?.kind === "lost" ? lost.abort.reason : "",
    /^127\.0\.0\.1:1 did not answer a PING within 10000 ms and has said nothing for 20000 ms$/,
  );
  assert.deepEqual(harness.heard, ["reachable", "CONNECT_TIMEOUT"]);
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

/** Octets of a PING frame (RFC 9113 §6.7). */
const PING_FRAME = 17;

test("a peer that is slow to answer and sends other things is not lost, and is not asked twice at once", async () => {
  const { harness, server, pings } = await silentCall(true);
  const { transport } = server;
  await harness.clock.pass(9000);
  // Nothing of the peer arrives until it has been asked; then a few frames do, and its answer last.
  transport.allow(0);
  for (let at = 0; at < 5; at++) server.connection.ping(() => {});
  await harness.clock.pass(1000);
  for (let at = 0; at < 5; at++) {
    await harness.clock.pass(9000);
    transport.allow(PING_FRAME);
    await settled();
  }
  assert.deepEqual(harness.states, { open: 1 });
  assert.deepEqual(pings, [10_000], "one question is outstanding at most");
  transport.allow(Number.POSITIVE_INFINITY);
  await settled();
  await harness.clock.pass(10_000);
  assert.equal(pings.length, 2);
  await harness.leftovers();
});

test("a connection that a GOAWAY retired is watched while it has a call", async () => {
  const { harness, server } = await silentCall(true);
  await harness.clock.pass(1000);
  server.connection.shutdown("restart");
  await settled();
  server.transport.allow(0);
  await harness.clock.pass(30_000);
  assert.deepEqual(harness.states, { aborted: 1 });
  assert.deepEqual(
    harness.heard.filter((what) => what !== "reachable"),
    [],
    "the endpoint has another connection",
  );
  assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
});

test("a peer that complains of too many PINGs is asked half as often each time, and it is logged once", async () => {
  const harness = new ClusterHarness({}, spec(1));
  const server = harness.on(1);
  server.sidecar = true;
  server.answers = false;
  const spacing: number[] = [];
  for (let round = 0; round < 3; round++) {
    void harness.call();
    await settled();
    const accepted = server.accepted.at(-1);
    assert.ok(accepted !== undefined);
    const pings = pingsOn(accepted, () => harness.clock.now());
    await harness.clock.pass(200_000);
    spacing.push((pings[2] ?? 0) - (pings[1] ?? 0));
    accepted.connection.close("too_many_pings", ErrorCode.ENHANCE_YOUR_CALM);
    await settled();
  }
  assert.deepEqual(spacing, [10_000, 20_000, 40_000]);
  const told = harness.lines.filter(({ msg }) => msg.includes("too_many_pings"));
  assert.deepEqual(
    told.map(({ msg }) => msg),
    [
      "127.0.0.1:1 finds that it is asked too often whether it is still there (too_many_pings): from now on half as often",
    ],
  );
  harness.cluster.terminate("the test is over");
  await settled();
});

/**
 * How servers by default enforce gRFC A8 (grpc-go, grpc-java and gRPC core alike): milliseconds that have to lie between two
 * PINGs, with a call open and without. What they send in between would excuse a strike; here nothing does.
 */
const WITH_CALL = 300_000;
const WITHOUT_CALL = 7_200_000;

/** Enforces it on every connection of a server, whose PINGs arrive up to 5 s late. */
class Enforcer {
  pings = 0;
  strikes = 0;
  private readonly watched = new Set<Accepted>();

  /** Watches connections that have come since. */
  look(server: FakeServer, now: () => number, random: () => number): void {
    for (const accepted of server.accepted) {
      if (this.watched.has(accepted)) continue;
      this.watched.add(accepted);
      const reader = new FrameReader();
      let last = Number.NEGATIVE_INFINITY;
      accepted.transport.on("data", (chunk: Buffer) => {
        for (const { type, flags } of reader.push(chunk)) {
          if (type !== FrameType.PING || (flags & Flag.ACK) !== 0) continue;
          const arrived = now() + random() * 5000;
          this.pings++;
          if (arrived - last < (accepted.connection.activeStreams > 0 ? WITH_CALL : WITHOUT_CALL)) this.strikes++;
          last = arrived;
        }
      });
    }
  }
}

for (const seed of [1, 2, 3, 4, 5]) {
  test(`in an hour servers that enforce gRFC A8 have nothing to complain of, seed ${seed}`, async () => {
    const random = seededRandom(seed);
    const harness = new PoolHarness();
    const { clock, server } = harness;
    const enforcer = new Enforcer();
    server.answers = false;
    while (clock.now() < 3_600_000) {
      const chance = random();
      if (chance < 0.4) harness.call();
      else if (chance < 0.6) harness.answerAll();
      else if (chance < 0.7) server.accepted.at(-1)?.connection.shutdown("age");
      await settled();
      enforcer.look(server, () => clock.now(), random);
      await clock.pass(random() * (random() < 0.4 ? 900_000 : 20_000));
    }
    assert.ok(enforcer.pings > 0, "there was a question");
    assert.equal(enforcer.strikes, 0);
    harness.answerAll();
    await settled();
    assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
  });
}
