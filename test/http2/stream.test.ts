import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderTable } from "../../src/http/headers.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import { FakeStreamHost } from "../support/stream-host.ts";

const table = new HeaderTable();
const head = table.head([[":status", "200"]]);
const trailers = table.head([["grpc-status", "0"]]);
const octets = Buffer.from("0123456789");

function answering(room = Number.POSITIVE_INFINITY): FakeStreamHost {
  const host = FakeStreamHost.answering();
  host.room = room;
  return host;
}

test("octets for which there is room are taken at once", () => {
  const { stream, asked } = answering();
  assert.equal(stream.sendData(octets, 2, 6, false), 4);
  assert.equal(stream.sendData(octets, 0, 1, true), 1);
  assert.deepEqual(asked, ["data 4", "data 1 end"]);
  assert.equal(stream.state, "halfClosedLocal");
});

test("what there is no room for is copied, waits, and leaves in order with the end behind it", () => {
  const host = answering(3);
  const { stream, asked, handler } = host;
  const source = Buffer.from("abcdef");
  assert.equal(stream.sendData(source, 0, 6, false), 3);
  source.fill("?");
  assert.equal(stream.sendData(octets, 0, 4, true), 0);
  assert.equal(stream.queued, 7);
  assert.deepEqual(asked, ["data 3", "wait", "wait"]);
  host.room = 4;
  assert.equal(stream.drain(100), "more");
  assert.equal(handler.sent, 4);
  host.room = 0;
  assert.equal(stream.drain(100), "stuck");
  host.room = 100;
  assert.equal(stream.drain(100), "done");
  assert.equal(host.written, "abcdef0123");
  assert.equal(handler.sent, 7);
  assert.equal(asked.at(-1), "data 3 end");
  assert.equal(stream.state, "halfClosedLocal");
});

test("a stream drains a quantum at a time", () => {
  const host = answering(0);
  host.stream.sendData(octets, 0, 10, false);
  host.room = 100;
  assert.equal(host.stream.drain(4), "more");
  assert.equal(host.written, "0123");
  assert.equal(host.stream.drain(100), "done");
  assert.equal(host.written, "0123456789");
});

test("nothing is written around what waits, not even an end without octets", () => {
  const host = answering(0);
  host.stream.sendData(octets, 0, 2, false);
  host.room = 100;
  assert.equal(host.stream.sendData(octets, 2, 4, false), 0);
  host.stream.sendData(octets, 0, 0, true);
  assert.equal(host.written, "");
  assert.equal(host.stream.drain(100), "done");
  assert.equal(host.written, "0123");
  assert.equal(host.stream.state, "halfClosedLocal");
});

test("trailers follow the last octet that waits", () => {
  const host = answering(0);
  host.stream.sendHead(head, false);
  host.stream.sendData(octets, 0, 2, false);
  host.stream.sendTrailers(trailers);
  assert.deepEqual(host.asked, ["head :status", "wait"]);
  host.room = 100;
  host.stream.drain(100);
  assert.deepEqual(host.asked.slice(2), ["data 2", "head grpc-status end"]);
  assert.equal(host.stream.state, "halfClosedLocal");
});

test("octets that nobody sent are not a frame", () => {
  const { stream, asked } = answering();
  assert.equal(stream.sendData(octets, 3, 3, false), 0);
  assert.deepEqual(asked, []);
});

test("after its end a stream takes everything and sends nothing", () => {
  const enders = [
    (one: FakeStreamHost) => one.stream.sendData(octets, 0, 0, true),
    (one: FakeStreamHost) => one.stream.sendTrailers(trailers),
    (one: FakeStreamHost) => one.stream.sendHead(head, true),
    (one: FakeStreamHost) => one.stream.reset(ErrorCode.CANCEL),
    (one: FakeStreamHost) => one.stream.cancel(ErrorCode.CANCEL),
  ];
  for (const end of enders) {
    const host = answering();
    end(host);
    const before = host.asked.length;
    assert.equal(host.stream.sendData(octets, 0, 5, true), 5);
    host.stream.sendHead(head, false);
    host.stream.sendTrailers(trailers);
    assert.equal(host.asked.length, before);
    assert.equal(host.stream.queued, 0);
  }
});

test("a stream that was ended while octets waited takes no more", () => {
  const host = answering(0);
  host.stream.sendData(octets, 0, 2, true);
  assert.equal(host.stream.canSend, false);
  assert.equal(host.stream.sendData(octets, 0, 5, false), 5);
  host.room = 100;
  host.stream.drain(100);
  assert.equal(host.written, "01");
});

test("a reset drops what waits, tells the connection once, and the handler nothing", () => {
  const host = answering(0);
  host.stream.sendData(octets, 0, 5, false);
  host.stream.reset(ErrorCode.CANCEL);
  host.stream.reset(ErrorCode.CANCEL);
  host.stream.change("recvReset");
  assert.deepEqual(host.asked, ["wait", "reset 8", "closed"]);
  assert.deepEqual([host.stream.queued, host.handler.events.length], [0, 0]);
});

test("a reset that was to wait comes after the last octet, and at once where none waits", () => {
  const waiting = answering(0);
  waiting.stream.sendData(octets, 0, 2, true);
  waiting.stream.resetWhenSent(ErrorCode.NO_ERROR);
  assert.deepEqual(waiting.asked, ["wait"]);
  waiting.room = 100;
  waiting.stream.drain(100);
  assert.deepEqual(waiting.asked.slice(1), ["data 2 end", "reset 0", "closed"]);
  const idle = answering();
  idle.stream.resetWhenSent(ErrorCode.NO_ERROR);
  assert.deepEqual(idle.asked, ["reset 0", "closed"]);
});

test("a stream that is closed by its last octet is not reset after it", () => {
  const host = answering(0);
  host.stream.change("recvEnd");
  host.stream.sendData(octets, 0, 2, true);
  host.stream.resetWhenSent(ErrorCode.NO_ERROR);
  host.room = 100;
  host.stream.drain(100);
  assert.deepEqual(host.asked, ["wait", "data 2 end", "closed"]);
});

test("octets are released once, and none of a stream that is closed", () => {
  const { stream, asked } = answering();
  stream.unreleased = 10;
  stream.release(4);
  stream.release(0);
  stream.reset(ErrorCode.CANCEL);
  stream.release(6);
  assert.deepEqual(asked, ["release 4", "reset 8", "closed"]);
});

test("a cancelled stream drops what waits and what comes, and its handler hears nothing more", () => {
  const host = answering(0);
  const { stream, handler, asked } = host;
  stream.sendData(octets, 0, 5, false);
  stream.cancel(ErrorCode.CANCEL);
  stream.cancel(ErrorCode.CANCEL);
  assert.deepEqual(asked, ["wait", "cancel 8"]);
  assert.equal(stream.queued, 0);
  stream.unreleased = 7;
  stream.handler.onHead(head, false);
  stream.handler.onData(octets, 0, 7, false);
  stream.handler.onTrailers(trailers);
  stream.handler.onSent(1);
  stream.handler.onAbort({ kind: "unprocessed" });
  assert.deepEqual(handler.events, []);
  assert.equal(asked.at(-1), "drop 7");
  assert.equal(stream.unreleased, 0);
});

test("an idle stream and a closed one are neither reset nor cancelled", () => {
  const idle = new FakeStreamHost();
  idle.stream.reset(ErrorCode.CANCEL);
  idle.stream.cancel(ErrorCode.CANCEL);
  assert.deepEqual(idle.asked, []);
  const closed = answering();
  closed.stream.reset(ErrorCode.CANCEL);
  closed.stream.cancel(ErrorCode.CANCEL);
  assert.deepEqual(closed.asked, ["reset 8", "closed"]);
});

test("an event that the diagram does not have changes nothing", () => {
  const { stream, asked } = answering();
  stream.change("recvEnd");
  assert.equal(stream.change("recvEnd"), false);
  assert.equal(stream.change("recvHeaders"), false);
  assert.equal(stream.state, "halfClosedRemote");
  assert.deepEqual(asked, []);
});
