import assert from "node:assert/strict";
import { test } from "node:test";
import type { Paced } from "../../src/core/pace.ts";
import { Bandwidth } from "../../src/limits/bandwidth/bandwidth.ts";
import { BandwidthLimits, CallBandwidth } from "../../src/limits/bandwidth/limits.ts";
import { FakeClock } from "../support/clock.ts";
import { seededRandom } from "../support/random.ts";

const KIB = 1024;

/** Has octets to send, and sends them as it may. */
class Sender implements Paced {
  left: number;
  sent = 0;
  private readonly bandwidth: Bandwidth;

  constructor(bandwidth: Bandwidth, octets: number) {
    this.bandwidth = bandwidth;
    this.left = octets;
    this.use(bandwidth.take(octets));
    if (this.left > 0) bandwidth.wait(this);
  }

  sendPaced(octets: number): number {
    const sent = Math.min(octets, this.left);
    this.use(sent);
    if (this.left > 0) this.bandwidth.wait(this);
    return sent;
  }

  private use(octets: number): void {
    this.left -= octets;
    this.sent += octets;
  }
}

function setup(rate = 100 * KIB, burst = 16 * KIB) {
  const clock = new FakeClock();
  return { clock, bandwidth: new Bandwidth(clock, { rate, burst }) };
}

test("what the burst lets through passes at once, and the rest at the rate", () => {
  const { clock, bandwidth } = setup();
  const sender = new Sender(bandwidth, 116 * KIB);
  assert.equal(sender.sent, 16 * KIB);
  clock.advance(500);
  assert.ok(sender.sent <= 66 * KIB && sender.sent > 60 * KIB, `${sender.sent}`);
  clock.advance(550);
  assert.equal(sender.left, 0);
  assert.equal(bandwidth.passed, 116 * KIB);
  assert.equal(bandwidth.delayed, 100 * KIB);
  assert.equal(clock.pending, 0, "nobody waits, and no timer runs");
});

test("what comes of a turn has to wait as well where the turn takes all there is, and the timer runs for the next turn alone", () => {
  const { clock, bandwidth } = setup(1600 * KIB);
  const within: number[] = [];
  const other: Paced = { sendPaced: (octets) => octets };
  bandwidth.take(16 * KIB);
  bandwidth.wait({
    sendPaced(octets) {
      within.push(bandwidth.take(octets));
      bandwidth.wait(other);
      return octets;
    },
  });
  clock.advance(10);
  assert.deepEqual(within, [0]);
  assert.equal(clock.untilNext, 10, "milliseconds in which a frame comes back");
  bandwidth.leave(other);
  assert.equal(clock.pending, 0);
});

test("in any stretch of time no more than rate * t + burst passes, whoever sends how much when", () => {
  const random = seededRandom(7);
  for (const [rate, burst] of [
    [10 * KIB, 16 * KIB],
    [1000 * KIB, 64 * KIB],
    [7, 16 * KIB],
  ] as const) {
    const { clock, bandwidth } = setup(rate, burst);
    const seen: [at: number, passed: number][] = [[0, 0]];
    for (let step = 0; step < 300; step++) {
      if (random() < 0.3) new Sender(bandwidth, Math.ceil(random() * 40 * KIB));
      clock.advance(Math.floor(random() * 50));
      seen.push([clock.now(), bandwidth.passed]);
    }
    for (const [from, before] of seen)
      for (const [to, after] of seen)
        if (to >= from) assert.ok(after - before <= (rate * (to - from)) / 1000 + burst, `${rate} ${from} ${to}`);
  }
});

test("those who wait take turns, so that who has little to send is done soon", () => {
  const { clock, bandwidth } = setup();
  const long = [new Sender(bandwidth, 1000 * KIB), new Sender(bandwidth, 1000 * KIB)];
  const short = new Sender(bandwidth, 8 * KIB);
  clock.advance(500);
  assert.equal(short.left, 0);
  clock.advance(5000);
  const [one, other] = long.map(({ sent }) => sent - 8 * KIB);
  assert.ok(Math.abs((one ?? 0) - (other ?? 0)) <= 32 * KIB, `${one} and ${other}`);
});

test("who has gone waits no more, and what was not used after all is the next one's", () => {
  const { clock, bandwidth } = setup();
  const first = new Sender(bandwidth, 100 * KIB);
  const second = new Sender(bandwidth, 4 * KIB);
  bandwidth.leave(first);
  assert.equal(bandwidth.waiting, 1);
  clock.advance(60);
  assert.equal(second.left, 0);
  assert.equal(first.sent, 16 * KIB);
  bandwidth.leave(first);
  assert.equal(clock.pending, 0);
  clock.advance(1000);
  assert.equal(bandwidth.take(16 * KIB), 16 * KIB);
  bandwidth.giveBack(10 * KIB);
  assert.equal(bandwidth.take(10 * KIB), 10 * KIB);
  assert.equal(bandwidth.take(1), 0);
});

test("another rate holds for those that wait, and what was used counts", () => {
  const { clock, bandwidth } = setup();
  const sender = new Sender(bandwidth, 1000 * KIB);
  bandwidth.change({ rate: 1000 * KIB, burst: 100 * KIB });
  assert.equal(sender.sent, 16 * KIB, "no new burst");
  clock.advance(500);
  assert.ok(sender.sent > 450 * KIB && sender.sent <= 516 * KIB, `${sender.sent}`);
});

test("a limit that is taken out lets go of those that wait, and is the same one when it comes back", () => {
  const clock = new FakeClock();
  const limit = new CallBandwidth(clock);
  limit.change({ request: 10 * KIB, response: undefined, burst: 16 * KIB });
  const { request } = limit;
  assert.ok(request !== undefined);
  assert.equal(limit.response, undefined);
  const sender = new Sender(request, 1000 * KIB);
  limit.change(undefined);
  assert.equal(sender.left, 0);
  assert.equal(limit.request, undefined);
  limit.change({ request: 10 * KIB, response: undefined, burst: undefined });
  assert.equal(limit.request, request);
  assert.deepEqual(request.rate, { rate: 10 * KIB, burst: 64 * KIB });
  assert.equal(clock.pending, 0);
});

test("limits are kept by name over reloads, and those of what is configured no more are forgotten", () => {
  const limits = new BandwidthLimits(new FakeClock());
  const options = { request: 10 * KIB, response: 20 * KIB, burst: undefined };
  limits.apply("outbound", new Map([["a", options]]));
  const { request } = limits.of("outbound", "a");
  limits.apply("outbound", new Map([["a", { ...options, request: 11 * KIB }]]));
  assert.equal(limits.of("outbound", "a").request, request);
  assert.deepEqual(
    [...limits.all()].map(({ upstream, way, bandwidth }) => [upstream, way, bandwidth.rate.rate]),
    [
      ["a", "request", 11 * KIB],
      ["a", "response", 20 * KIB],
    ],
  );
  limits.apply("outbound", new Map());
  assert.deepEqual([...limits.all()], []);
});
