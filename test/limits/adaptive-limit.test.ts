import assert from "node:assert/strict";
import { test } from "node:test";
import { AdaptiveLimit } from "../../src/limits/adaptive-limit.ts";
import { seededRandom } from "../support/random.ts";
import { type Offered, quantile, SimulatedService } from "./simulated-service.ts";

const options = { initial: 20, min: 4, max: 1000 };

function world(slots: number, time: number, initial = options.initial) {
  const limit = new AdaptiveLimit({ ...options, initial }, seededRandom(1));
  return { limit, service: new SimulatedService(limit, slots, time) };
}

function goodput({ latencies }: Offered, ms: number): number {
  return (latencies.length * 1000) / ms;
}

for (const initial of [4, 20, 200]) {
  test(`three times what a service can do, from a limit of ${initial}: it goes on doing what it can, and calls hardly wait`, () => {
    const { limit, service } = world(16, 10, initial);
    service.offer(4800, 15_000);
    const steady = service.offer(4800, 20_000);
    assert.ok(goodput(steady, 20_000) >= 1600 * 0.97, `${goodput(steady, 20_000)} a second`);
    assert.ok(quantile(steady.latencies, 0.99) <= 30, `p99 ${quantile(steady.latencies, 0.99)}`);
    assert.ok(limit.limit >= 16 && limit.limit <= 32, limit.explain());
    assert.ok(limit.lowest !== undefined && limit.lowest >= 10 && limit.lowest < 12.5, limit.explain());
  });
}

test("a machine that stalls now and then makes it no smaller than the service is", () => {
  const { service } = world(16, 10);
  const random = seededRandom(7);
  // Half of all calls wait for the processor, and for 50 ms of each second all of them do.
  service.delay = () => (service.clock.now() % 1000 < 50 ? 40 : random() < 0.5 ? random() * 6 : 0);
  service.offer(4800, 5000);
  const unlimited = (16 * 1000) / (10 + 1.5 + 2);
  const steady = service.offer(4800, 30_000);
  assert.ok(goodput(steady, 30_000) >= unlimited * 0.93, `${goodput(steady, 30_000)} of ${unlimited}`);
  assert.ok(quantile(steady.latencies, 0.99) <= 90, `p99 ${quantile(steady.latencies, 0.99)}`);
});

test("without overload nothing is refused, not even while it looks for the lowest latency", () => {
  const { service } = world(16, 10);
  for (let minute = 0; minute < 5; minute++) assert.equal(service.offer(800, 60_000).refused, 0);
});

test("a service that can do hundreds at once gets them within seconds", () => {
  const { limit, service } = world(400, 20);
  service.offer(20_000, 3000);
  const steady = service.offer(19_000, 5000);
  assert.ok(goodput(steady, 5000) >= 19_000 * 0.95, `${goodput(steady, 5000)}`);
  assert.ok(limit.limit >= 400, limit.explain());
});

test("a service that can do less than before gets less, and gets it back when it can again", () => {
  const { limit, service } = world(32, 10);
  service.offer(4000, 10_000);
  const before = limit.limit;
  assert.ok(before >= 32 && before <= 56, limit.explain());
  service.slots = 8;
  service.offer(4000, 3000);
  const less = service.offer(4000, 10_000);
  assert.ok(limit.limit <= 24, limit.explain());
  assert.ok(goodput(less, 10_000) >= 800 * 0.95, `${goodput(less, 10_000)}`);
  service.slots = 32;
  service.offer(4000, 10_000);
  const again = service.offer(4000, 10_000);
  assert.ok(goodput(again, 10_000) >= 3200 * 0.9, `${goodput(again, 10_000)} ${limit.explain()}`);
});

test("a service whose calls take longer for good is believed after a while", () => {
  const { limit, service } = world(16, 10);
  service.offer(4800, 10_000);
  service.time = 40;
  service.offer(4800, 150_000);
  const steady = service.offer(4800, 10_000);
  assert.ok(goodput(steady, 10_000) >= 400 * 0.95, `${goodput(steady, 10_000)}`);
  assert.ok((limit.lowest ?? 0) >= 35, limit.explain());
});

test("the limit stays between its bounds", () => {
  const limit = new AdaptiveLimit({ initial: 20, min: 10, max: 30 }, seededRandom(1));
  for (let window = 1; window <= 20; window++) {
    for (let call = 0; call < 15; call++) limit.enter();
    for (let call = 0; call < 15; call++) limit.leave(window * 101, 10, true);
  }
  assert.equal(limit.limit, 10);
  const service = new SimulatedService(limit, 1, 10);
  service.slots = 1000;
  service.clock.advance(3000);
  service.offer(10_000, 20_000);
  assert.equal(limit.limit, 30);
});

test("calls at their deadline make it smaller, whatever the latency says", () => {
  const { limit } = world(16, 10);
  for (let window = 1; window <= 10; window++) {
    for (let call = 0; call < 15; call++) limit.enter();
    for (let call = 0; call < 15; call++) limit.leave(window * 101, 10, call < 5);
  }
  assert.ok(limit.limit < 20, limit.explain());
});

test("it explains itself", () => {
  const { limit, service } = world(16, 10);
  assert.equal(limit.explain(), "limit 20: no latency is known yet");
  service.offer(4800, 5000);
  assert.match(limit.explain(), /^limit [0-9]+: lowest latency [0-9.]+ ms, now [0-9.]+ ms(, looking for the lowest)?$/);
});

test("a call that says nothing of the service is only counted while it is under way", () => {
  const { limit } = world(16, 10);
  for (let call = 0; call < 1000; call++) {
    limit.enter();
    limit.leave(call, undefined, false);
  }
  assert.equal(limit.inFlight, 0);
  assert.equal(limit.latency, undefined);
});
