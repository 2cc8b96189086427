import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../src/http/headers.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import { Bandwidth } from "../../src/limits/bandwidth/bandwidth.ts";
import { FakeClock } from "../support/clock.ts";
import { FakeStreamHost } from "../support/stream-host.ts";

const KIB = 1024;
const trailers = new HeaderTable().head([["grpc-status", "4"]]);

function setup() {
  const clock = new FakeClock();
  const pace = new Bandwidth(clock, { rate: 16 * KIB, burst: 16 * KIB });
  const host = FakeStreamHost.answering();
  host.stream.pace = pace;
  const send = (octets: number, fin = false): number => host.stream.sendData(Buffer.alloc(octets, "a"), 0, octets, fin);
  return { clock, pace, host, stream: host.stream, send };
}

test("what the pace does not let through waits, and leaves in order with the end behind it", () => {
  const { clock, host, stream, send } = setup();
  assert.equal(send(20 * KIB), 16 * KIB);
  assert.equal(send(4 * KIB, true), 0);
  clock.advance(250);
  assert.ok(host.written.length <= 20 * KIB && host.written.length > 19 * KIB, `${host.written.length}`);
  assert.equal(host.handler.sent, host.written.length - 16 * KIB, "the sender is told of each octet as it leaves");
  clock.advance(260);
  assert.equal(host.written.length, 24 * KIB);
  assert.match(host.asked.findLast((word) => word.startsWith("data")) ?? "", /^data [0-9]+ end$/);
  assert.equal(stream.state, "halfClosedLocal");
  assert.equal(clock.pending, 0);
});

test("trailers wait for what the pace holds back, unless that is dropped for them", () => {
  const { clock, pace, host, stream, send } = setup();
  send(20 * KIB);
  stream.sendTrailers(trailers);
  assert.ok(!host.asked.includes("head grpc-status end"));
  clock.advance(300);
  assert.ok(host.asked.includes("head grpc-status end"));
  const other = FakeStreamHost.answering();
  other.stream.pace = pace;
  other.stream.sendData(Buffer.alloc(20 * KIB), 0, 20 * KIB, false);
  other.stream.dropPaced();
  other.stream.sendTrailers(trailers);
  assert.equal(other.asked.at(-1), "head grpc-status end");
  assert.equal(pace.waiting, 0);
  assert.equal(clock.pending, 0);
});

test("a stream that is reset gives its turn to others", () => {
  const { clock, pace, host, stream, send } = setup();
  send(64 * KIB);
  const other = FakeStreamHost.answering();
  other.stream.pace = pace;
  other.stream.sendData(Buffer.alloc(KIB), 0, KIB, false);
  assert.equal(pace.waiting, 2);
  stream.reset(ErrorCode.CANCEL);
  assert.equal(pace.waiting, 1);
  clock.advance(100);
  assert.equal(other.written.length, KIB);
  assert.equal(host.written.length, 16 * KIB);
});

test("what the window does not take is not charged, and is sent as there is room and its turn comes", () => {
  const { clock, pace, host, stream, send } = setup();
  host.room = 4 * KIB;
  assert.equal(send(8 * KIB), 4 * KIB);
  assert.equal(pace.passed, 4 * KIB);
  assert.equal(pace.waiting, 0, "it waits for the window alone");
  assert.equal(host.asked.at(-1), "wait");
  host.room = 100 * KIB;
  assert.equal(stream.drain(16 * KIB), "done");
  send(16 * KIB);
  assert.equal(pace.waiting, 1);
  host.room = 0;
  clock.advance(1000);
  assert.equal(pace.waiting, 0);
  host.room = 100 * KIB;
  assert.equal(stream.drain(16 * KIB), "done");
  assert.equal(host.written.length, 24 * KIB);
  assert.equal(pace.passed, 24 * KIB);
});

test("a stream that waits for its turn is not asked for octets whenever its peer gives credit, and else waits as any other", () => {
  const { clock, pace, host, stream, send } = setup();
  assert.equal(send(20 * KIB), 16 * KIB);
  assert.equal(send(KIB, true), 0);
  assert.ok(!host.asked.includes("wait"), "its host has nothing to ask it");
  const { length } = host.asked;
  assert.equal(stream.drain(16 * KIB), "paced");
  assert.equal(host.asked.length, length);
  host.room = KIB;
  clock.advance(100);
  assert.equal(host.asked.at(-1), "wait", "its turn came, and there was no room for all of it");
  assert.equal(pace.waiting, 0);
  host.room = 100 * KIB;
  while (stream.drain(16 * KIB) !== "done") clock.advance(10);
  assert.equal(host.written.length, 21 * KIB);
  assert.equal(stream.state, "halfClosedLocal");
  assert.equal(clock.pending, 0);
});
