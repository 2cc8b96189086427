import assert from "node:assert/strict";
import { test } from "node:test";
import type { Stream } from "../../src/http2/stream.ts";
import { WaitingStreams } from "../../src/http2/waiting-streams.ts";
import { seededInteger } from "../support/random-integer.ts";
import { FakeStreamHost } from "../support/stream-host.ts";

test("whatever is added, deleted and taken, the order is that of a list", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = seededInteger(seed);
    const streams = Array.from({ length: 8 }, (_, at) => new FakeStreamHost(at * 2 + 1).stream);
    const waiting = new WaitingStreams();
    let model: Stream[] = [];
    for (let step = 0; step < 300; step++) {
      const stream = streams[random(streams.length)];
      assert.ok(stream !== undefined);
      switch (random(3)) {
        case 0:
          waiting.add(stream);
          if (!model.includes(stream)) model.push(stream);
          break;
        case 1:
          waiting.delete(stream);
          model = model.filter((one) => one !== stream);
          break;
        default:
          assert.equal(waiting.shift(), model.shift());
      }
      assert.equal(waiting.size, model.length);
      for (const one of streams) assert.equal(one.isWaiting, model.includes(one));
    }
    waiting.clear();
    assert.equal(waiting.size, 0);
    assert.ok(streams.every(({ isWaiting, waitsAfter, waitsBefore }) => !isWaiting && !waitsAfter && !waitsBefore));
  }
});
