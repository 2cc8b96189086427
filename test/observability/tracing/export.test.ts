import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { pino } from "pino";
import { systemClock } from "../../../src/core/clock.ts";
import { OtlpExport } from "../../../src/observability/tracing/otlp-export.ts";
import type { SpanRecord } from "../../../src/observability/tracing/span.ts";
import { SpanQueue } from "../../../src/observability/tracing/span-queue.ts";
import { FakeClock } from "../../support/clock.ts";

const span: SpanRecord = {
  name: "a.B/C",
  kind: "client",
  traceId: "a".repeat(32),
  spanId: "b".repeat(16),
  parentId: undefined,
  startedAt: 1_000_000_000_000,
  endedAt: 1_000_000_000_001,
  attributes: {},
  events: [],
  error: undefined,
};

test("spans wait for an exporter that takes none, up to a bound; what is over it is dropped and counted", () => {
  const queue = new SpanQueue(new FakeClock());
  for (let at = 0; at < 3000; at++) queue.add(span);
  assert.deepEqual([queue.length, queue.dropped], [2048, 952]);
});

test("an exporter is given batches, and no more than it has room for", () => {
  const clock = new FakeClock();
  const queue = new SpanQueue(clock);
  let room = 300;
  let taken = 0;
  queue.exporter = {
    get room() {
      return room;
    },
    add() {
      taken++;
      room--;
    },
    close: async () => {},
  };
  for (let at = 0; at < 1000; at++) queue.add(span);
  assert.equal(taken, 0, "nothing is built while a call ends");
  clock.advance(200);
  assert.equal(taken, 256);
  clock.advance(200);
  assert.equal(taken, 300);
  clock.advance(1000);
  assert.equal(taken, 300);
  room = 1000;
  clock.advance(200);
  assert.equal(taken, 556);
  queue.flush();
  assert.deepEqual([taken, queue.length], [1000, 0]);
});

for (const protocol of ["grpc", "http"] as const) {
  test(`a collector that never answers holds nothing up: bounded over ${protocol}, and let go at the end`, async (t) => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket.on("error", () => {}))).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const counts = { exported: 0, failed: 0 };
    const options = { protocol, sampling: 1, errors: "sampled", correlate: "none", headers: new Map() } as const;
    const exporter = new OtlpExport({
      tracing: { ...options, otlp: `http://127.0.0.1:${address.port}` },
      service: "s",
      version: "1",
      instance: "s-1",
      log: pino({ level: "silent" }),
      counts,
    });
    const queue = new SpanQueue(systemClock);
    queue.exporter = exporter;
    for (let at = 0; at < 5000; at++) queue.add(span);
    queue.flush();
    for (let at = 0; at < 5000; at++) queue.add(span);
    queue.flush();
    assert.ok(exporter.room <= 0, `it would take ${exporter.room} more`);
    assert.ok(queue.length <= 2048 && queue.dropped > 0);
    const begun = performance.now();
    await exporter.close();
    assert.ok(performance.now() - begun < 10_000, "it is not waited for");
    assert.equal(counts.exported, 0);
  });
}
