import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { FlushLoop } from "../../src/http2/flush-loop.ts";
import { FrameType } from "../../src/http2/frame.ts";
import { SettingId } from "../../src/http2/settings.ts";
import { FakeClock } from "../support/clock.ts";
import { Engine } from "../support/engine.ts";
import { clientGreeting, dataFrame, settingsAckFrame, settingsFrame } from "../support/frames.ts";
import type { PlainField } from "../support/hpack-peer.ts";

const connect: readonly PlainField[] = [
  [":method", "CONNECT"],
  [":protocol", "websocket"],
  [":scheme", "http"],
  [":path", "/chat"],
  [":authority", "test"],
];

/** A server that takes extended CONNECT, or does not say so. */
function server(takes: boolean): Engine {
  const clock = new FakeClock();
  const engine = new Engine("server", {}, clock, { loop: new FlushLoop(clock) }, takes);
  engine.send(clientGreeting, settingsAckFrame);
  return engine;
}

async function announced(engine: Engine): Promise<number[]> {
  const [settings] = await engine.framesOf(FrameType.SETTINGS);
  const payload = settings?.payload ?? Buffer.alloc(0);
  const values: number[] = [];
  for (let at = 0; at < payload.length; at += 6)
    if (payload.readUInt16BE(at) === SettingId.ENABLE_CONNECT_PROTOCOL) values.push(payload.readUInt32BE(at + 2));
  return values;
}

test("a server says that it takes extended CONNECT where it does, and a client never (RFC 8441 §3)", async () => {
  assert.deepEqual(await announced(server(true)), [1]);
  assert.deepEqual(await announced(server(false)), []);
  assert.deepEqual(await announced(new Engine("client")), []);
});

test("an extended CONNECT is a request whose octets are a tunnel's, and malformed for who has not announced it", async () => {
  const takes = server(true);
  takes.send(takes.request(1, false, connect), dataFrame(1, "octets"));
  assert.equal(takes.accept().head.list.extended, true);
  assert.equal(takes.accept().handler.data, "octets");

  const other = server(false);
  other.send(other.request(1, false, connect));
  assert.equal(other.accepted.length, 0);
  const [reset] = await other.framesOf(FrameType.RST_STREAM);
  assert.equal(reset?.payload.readUInt32BE(0), ErrorCode.PROTOCOL_ERROR);
  assert.equal(other.reason, undefined, "its connection goes on");
});

test("HEADERS in a tunnel are an error of its stream, from either side (RFC 9113 §8.5)", async () => {
  const takes = server(true);
  takes.send(takes.request(1, false, connect), takes.head(1, [["x-check", "1"]], true));
  assert.match(takes.accept().handler.events.join(), /^(head,)?abort violation$/);

  const client = Engine.ready("client");
  const { handler } = client.open(false, connect);
  client.send(client.head(1, [[":status", "200"]]), client.head(1, [["x-check", "1"]], true));
  assert.match(handler.events.join(), /^(head,)?abort violation$/);
});

test("an answer that is not 2xx is one as any other, with trailers and a length", () => {
  const client = Engine.ready("client");
  const { handler } = client.open(false, connect);
  client.send(
    client.head(1, [
      [":status", "404"],
      ["content-length", "4"],
    ]),
    dataFrame(1, "none"),
    client.head(1, [["x-check", "1"]], true),
  );
  assert.deepEqual(handler.events, ["head", "data 4", "trailers"]);
});

test("the length of an answer that opens a tunnel is not believed (RFC 9110 §9.3.6)", () => {
  const client = Engine.ready("client");
  const { handler } = client.open(false, connect);
  client.send(
    client.head(1, [
      [":status", "200"],
      ["content-length", "0"],
    ]),
    dataFrame(1, "octets", true),
  );
  assert.deepEqual(handler.events, ["head", "data 6 end"]);
});

test("a client knows from the server's SETTINGS whether it may ask", () => {
  const client = new Engine("client");
  assert.equal(client.connection.peer.extendedConnect, false);
  client.send(settingsFrame([[SettingId.ENABLE_CONNECT_PROTOCOL, 1]]), settingsAckFrame);
  assert.equal(client.connection.peer.extendedConnect, true);
});
