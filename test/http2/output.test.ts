import assert from "node:assert/strict";
import { test } from "node:test";
import { type BufferReuse, Output } from "../../src/http2/output.ts";
import { settled } from "../support/clock.ts";
import { TestTransport } from "../support/engine.ts";

function fill(output: Output, text: string): void {
  const buffer = output.reserve(text.length);
  const at = output.position;
  buffer.write(text, at, "latin1");
  output.advance(at + text.length);
}

function makeOutput(reuse: BufferReuse = "callback"): {
  transport: TestTransport;
  output: Output;
  completed: () => number;
  held: () => number;
} {
  const transport = new TestTransport();
  let count = 0;
  let held = 0;
  const onHeld = (octets: number): void => {
    held += octets;
  };
  const output = new Output(transport, reuse, () => count++, onHeld);
  return { transport, output, completed: () => count, held: () => held };
}

const octets = (transport: TestTransport): string => Buffer.concat(transport.written).toString("latin1");

test("what was filled leaves with flush, in order and in one write", () => {
  const { transport, output } = makeOutput();
  fill(output, "a");
  fill(output, "bc");
  assert.equal(output.unflushed, 3);
  assert.equal(transport.written.length, 0);
  output.flush();
  assert.deepEqual([octets(transport), transport.written.length, output.unflushed], ["abc", 1, 0]);
  assert.equal(output.written, 3);
});

test("flush without anything writes nothing", () => {
  const { transport, output } = makeOutput();
  output.reserve(10);
  output.flush();
  assert.equal(transport.written.length, 0);
});

test("what does not fit into one buffer goes on in the next, and what is larger than a buffer gets its own", () => {
  const { transport, output } = makeOutput();
  const parts = ["a".repeat(60_000), "b".repeat(60_000), "c".repeat(200_000), "d"];
  for (const part of parts) fill(output, part);
  output.flush();
  assert.equal(octets(transport), parts.join(""));
});

for (const reuse of ["callback", "atOnce"] as const) {
  test(`octets are in flight until the transport has completed their write, which is told (${reuse})`, async () => {
    const { transport, output, completed, held } = makeOutput(reuse);
    transport.stalled = true;
    fill(output, "ab");
    output.flush();
    fill(output, "c");
    assert.deepEqual([output.inFlight, output.unflushed, completed(), held()], [2, 1, 0, 2]);
    transport.flow();
    await settled(1);
    assert.deepEqual([output.inFlight, completed(), held()], [0, 1, 0]);
    output.flush();
    assert.equal(octets(transport), "abc");
  });

  test(`a buffer is not filled anew before its write is complete (${reuse})`, async () => {
    const { transport, output, completed } = makeOutput(reuse);
    transport.stalled = true;
    const texts = ["first", "second", "third"];
    for (const text of texts) {
      fill(output, text);
      output.flush();
    }
    assert.equal(output.inFlight, 16);
    transport.flow();
    await settled(1);
    assert.equal(octets(transport), texts.join(""));
    assert.deepEqual([output.inFlight, completed()], [0, 3]);
  });
}

test("a write of a socket that is complete when it returns is not told of, and its buffer is filled anew at once", async () => {
  const { transport, output, completed } = makeOutput("atOnce");
  const buffer = output.reserve(1);
  fill(output, "a");
  output.flush();
  assert.equal(output.inFlight, 0);
  assert.equal(output.reserve(1), buffer);
  fill(output, "b");
  output.flush();
  await settled(1);
  assert.deepEqual([octets(transport), output.inFlight, completed()], ["ab", 0, 0]);
});

test("nothing is written to a transport that has ended or is gone", async () => {
  for (const end of [(one: TestTransport) => one.end(), (one: TestTransport) => one.destroy()]) {
    const { transport, output } = makeOutput();
    end(transport);
    fill(output, "late");
    output.flush();
    await settled(1);
    assert.deepEqual([transport.written.length, output.unflushed, output.inFlight], [0, 0, 0]);
  }
});
