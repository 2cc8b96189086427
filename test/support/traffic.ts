import assert from "node:assert/strict";
import { defaultLimits, type Http2Limits } from "../../src/http2/limits.ts";
import { SettingId } from "../../src/http2/settings.ts";
import { FakeClock, settled } from "./clock.ts";
import { settingsFrame } from "./frames.ts";
import { type CallEnd, octetAt, Party } from "./party.ts";
import { seededInteger } from "./random-integer.ts";
import { Direction, WireEnd } from "./wire.ts";

/** What a run has seen, so that a test can tell that it saw anything. */
export interface TrafficCounts {
  streams: number;
  octets: number;
  resets: number;
  injected: number;
  goaways: number;
  ends: number;
}

type Random = (below: number) => number;

const NONE = { burst: 0, rate: 0 };

/** A peer that keeps to the rules spends nothing of these. Settings change more often than they would. */
const strict = {
  ...defaultLimits.budgets,
  settings: { burst: 1_000_000, rate: 1 },
  emptyData: NONE,
  priorities: NONE,
  streamErrors: NONE,
  unknownFrames: NONE,
};

function pick<T>(random: Random, ...from: readonly [T, ...T[]]): T {
  return from[random(from.length)] ?? from[0];
}

function someLimits(random: Random): Http2Limits {
  const streamWindow = pick(random, 1, 7, 1000, 65_535, 131_072);
  const connectionWindow = pick(random, 0, 65_535, 100_000, 1_048_576);
  return {
    ...defaultLimits,
    budgets: strict,
    streamWindow,
    maxStreamWindow: streamWindow * pick(random, 1, 2, 16),
    connectionWindow,
    maxConnectionWindow: connectionWindow * pick(random, 1, 4),
    windowGrowth: pick(random, 0, 1000, 1_000_000),
    maxUnread: pick(random, 0, 500, 1_000_000),
    headerTableSize: pick(random, 0, 64, 200, 4096, 16_384),
    maxConcurrentStreams: pick(random, 1, 3, 20, 1000),
    cancels: pick(random, defaultLimits.cancels, {
      ...defaultLimits.cancels,
      burst: 3,
      rate: 20,
      youngAge: 40,
      youngBase: 5,
      maxWaiting: 4,
    }),
  };
}

/** Two engines that exchange random legal traffic over a wire that cuts it anywhere. */
export class Traffic {
  readonly counts: TrafficCounts = { streams: 0, octets: 0, resets: 0, injected: 0, goaways: 0, ends: 0 };
  private readonly random: Random;
  private readonly clock = new FakeClock();
  private readonly parties: readonly [client: Party, server: Party];
  /** What each party says. */
  private readonly directions: readonly [up: Direction, down: Direction];
  /** Settings that were put in and have to be taken back: by direction and identifier. */
  private readonly changed = new Map<string, () => boolean>();
  private cut = false;

  constructor(seed: number) {
    this.random = seededInteger(seed);
    this.directions = Direction.pair();
    const [up, down] = this.directions;
    const [near, far] = [new WireEnd(up), new WireEnd(down)];
    for (const end of [near, far]) end.resume();
    this.parties = [
      new Party("client", near, someLimits(this.random), this.clock),
      new Party("server", far, someLimits(this.random), this.clock),
    ];
  }

  /** So many random steps, and then whatever it takes until every stream has ended. */
  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      this.step();
      if (this.random(4) === 0) await settled(1);
    }
    await this.settle();
    this.check();
    await this.finish();
  }

  // --- random steps ---

  private step(): void {
    const { random } = this;
    const party = this.parties[random(2)] ?? this.parties[0];
    const roll = random(1000);
    if (roll < 120) this.open();
    else if (roll < 370) this.say(party);
    else if (roll < 500) this.release(party);
    else if (roll < 540) this.reset(party);
    else if (roll < 780) this.deliver(random(2), pick(random, 1, 9, 10, 100, 5000, 100_000));
    else if (roll < 860) party.end.complete();
    else if (roll < 900) this.clock.advance(random(30));
    else if (roll < 930) this.inject();
    else if (roll < 955) this.restore();
    else if (roll < 980 && party.pings < 40) party.ping();
    else if (roll >= 997 && roll < 999 && random(2) === 0) this.shutdown(party);
    else if (roll === 999 && random(3) === 0) this.end(party);
  }

  private open(): void {
    const { random } = this;
    const [client] = this.parties;
    if (!client.connection.canOpen) return;
    const pairs: [string, string][] = [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", `/test.Test/Method${random(4)}`],
      [":authority", "test"],
    ];
    for (let more = random(4); more > 0; more--) pairs.push([`x-${random(5)}`, "v".repeat(random(60))]);
    if (random(30) === 0) pairs.push(["x-long", "v".repeat(20_000)]);
    client.open(pairs, random(4) === 0);
    this.counts.streams++;
  }

  private someCall(party: Party, fits: (call: CallEnd) => boolean): CallEnd | undefined {
    const calls = [...party.calls.values()].filter((call) => !call.over && call.resetWith === undefined && fits(call));
    return calls[this.random(Math.max(1, calls.length))];
  }

  private say(party: Party): void {
    const { random } = this;
    const call = this.someCall(party, ({ saidEnd }) => !saidEnd);
    if (call?.stream === undefined) return;
    if (!call.saidHead) {
      const interim = random(6) === 0;
      const end = !interim && random(6) === 0;
      call.stream.sendHead(
        party.headers.head([
          [":status", interim ? "103" : "200"],
          ["x-a", `${random(3)}`],
        ]),
        end,
      );
      if (interim) return;
      call.saidHead = true;
      call.saidEnd = end;
      return;
    }
    if (random(8) === 0) this.sayTrailers(party, call);
    else this.sayData(call, random(pick(random, 2, 200, 20_000, 150_000)), random(5) === 0, party);
  }

  private sayTrailers(party: Party, call: CallEnd): void {
    call.saidTrailers = String(this.random(1000));
    call.saidEnd = true;
    call.stream?.sendTrailers(party.headers.head([["x-trailer", call.saidTrailers]]));
  }

  private sayData(call: CallEnd, wanted: number, fin: boolean, party: Party): void {
    // With a window of one octet a long message takes as many turns as it has octets.
    const other = party === this.parties[0] ? this.parties[1] : this.parties[0];
    const size = Math.min(wanted, other.limits.streamWindow * 100);
    const octets = Buffer.alloc(size);
    for (let at = 0; at < size; at++) octets[at] = octetAt(call.id, call.said + at);
    call.said += size;
    call.saidEnd = fin;
    call.taken += call.stream?.sendData(octets, 0, size, fin) ?? 0;
    octets.fill(0xee);
    this.counts.octets += size;
  }

  private release(party: Party): void {
    const call = this.someCall(party, ({ held }) => held > 0);
    if (call === undefined) return;
    const octets = this.random(2) === 0 ? call.held : this.random(call.held + 1);
    call.held -= octets;
    call.stream?.release(octets);
  }

  private reset(party: Party): void {
    const call = this.someCall(party, () => true);
    if (call?.stream === undefined) return;
    call.resetWith = pick(this.random, 0, 2, 8, 11);
    this.counts.resets++;
    if (this.random(2) === 0) call.stream.cancel(call.resetWith);
    else call.stream.reset(call.resetWith);
  }

  private deliver(at: number, octets: number): void {
    const [from, to] = at === 0 ? this.parties : [this.parties[1], this.parties[0]];
    const direction = this.directions[at];
    if (direction === undefined) return;
    const chunk = direction.deliver(octets);
    if (chunk.length > 0) to.connection.receive(chunk);
    // They are the transport's again.
    chunk.fill(0xdd);
    const saidAll = from.end.destroyed || from.end.writableFinished;
    if (direction.waiting === 0 && saidAll && !to.end.destroyed && !to.end.readableEnded) to.end.push(null);
  }

  private inject(): void {
    const { random } = this;
    const at = random(2);
    const [party, direction] = [this.parties[at], this.directions[at]];
    if (party === undefined || direction === undefined) return;
    const [id, own, value] = pick(
      random,
      [SettingId.INITIAL_WINDOW_SIZE, party.limits.streamWindow, random(party.limits.streamWindow + 1)],
      [SettingId.HEADER_TABLE_SIZE, party.limits.headerTableSize, random(party.limits.headerTableSize + 1)],
      [SettingId.MAX_FRAME_SIZE, 16_384, 16_384 + random(1_000_000)],
      [SettingId.MAX_CONCURRENT_STREAMS, party.limits.maxConcurrentStreams, random(4)],
    );
    if (!direction.inject(settingsFrame([[id, value]]))) return;
    this.counts.injected++;
    this.changed.set(`${at} ${id}`, () => direction.inject(settingsFrame([[id, own]])));
  }

  private restore(): void {
    for (const [key, restore] of this.changed) {
      if (restore()) this.changed.delete(key);
      if (this.random(2) === 0) return;
    }
  }

  private shutdown(party: Party): void {
    if (party.cause === undefined && !party.connection.draining) this.counts.goaways++;
    party.connection.shutdown("enough");
  }

  private end(party: Party): void {
    this.counts.ends++;
    this.cut = true;
    if (this.random(2) === 0) party.connection.close("over");
    else party.end.destroy(new Error("ECONNRESET"));
  }

  // --- the end ---

  private busy(): boolean {
    const calls = this.parties.flatMap((party) => [...party.calls.values()]);
    return (
      calls.some((call) => !call.over) ||
      this.directions.some(({ waiting }) => waiting > 0) ||
      this.parties.some(({ end }) => !end.destroyed && end.writableLength > 0) ||
      this.changed.size > 0
    );
  }

  /** Lets everybody read, answer and end until nothing is left to do. */
  private async settle(): Promise<void> {
    for (let round = 0, quiet = 0; round < 20_000 && quiet < 10; round++) {
      quiet = this.busy() ? 0 : quiet + 1;
      for (const [key, restore] of this.changed) if (restore()) this.changed.delete(key);
      for (const party of this.parties) {
        for (const call of party.calls.values()) {
          if (call.over || call.resetWith !== undefined) continue;
          if (call.held > 0) call.stream?.release(call.held);
          call.held = 0;
          if (!call.saidHead) call.stream?.sendHead(party.headers.head([[":status", "200"]]), false);
          call.saidHead = true;
          if (call.over || call.saidEnd) continue;
          if (this.random(2) === 0) this.sayTrailers(party, call);
          else this.sayData(call, 0, true, party);
        }
        party.end.complete();
      }
      await settled(1);
      for (const at of [0, 1]) this.deliver(at, 200_000);
      if (round % 20 === 0) this.clock.advance(50);
    }
  }

  private check(): void {
    const [client, server] = this.parties;
    for (const party of this.parties) {
      assert.notEqual(party.cause?.kind, "violation", party.cause?.reason ?? "");
      assert.equal(party.connection.activeStreams, 0, `streams are left: ${this.left(party)}`);
      if (party.cause === undefined) {
        assert.equal(party.connection.atRest, true, `the ${party.role} is not at rest`);
        assert.equal(party.pongs, party.pings);
      }
      for (const call of party.calls.values()) this.checkEnd(party, call);
    }
    if (client.cause === undefined && server.cause === undefined) this.checkWindows();
    for (const [id, call] of client.calls) this.checkPair(call, server.calls.get(id), server);
    for (const id of server.calls.keys()) assert.ok(client.calls.has(id));
  }

  private left(party: Party): string {
    return [...party.calls.values()]
      .filter(({ over }) => !over)
      .map(({ id, stream, saidEnd, heardEnd }) => `${id} ${stream?.state} said ${saidEnd} heard ${heardEnd}`)
      .join(", ");
  }

  /** A stream that ended by itself has said and heard everything, and had all of its octets taken. */
  private checkEnd(party: Party, call: CallEnd): void {
    const whole = call.saidEnd && call.heardEnd;
    if (call.abort !== undefined || call.resetWith !== undefined) return;
    assert.ok(whole, `stream ${call.id} of the ${party.role} has ended without an end`);
    assert.equal(call.taken, call.said);
  }

  private checkPair(near: CallEnd, far: CallEnd | undefined, server: Party): void {
    if (far === undefined) {
      // The server never told anybody: it was refused, had not arrived, or came too late.
      const kinds = ["unprocessed", "lost", "unsent"];
      const refused = near.abort?.kind === "reset" && near.abort.code === 7;
      assert.ok(refused || near.resetWith !== undefined || kinds.includes(near.abort?.kind ?? ""), `stream ${near.id}`);
      return;
    }
    assert.equal(server.refused.has(near.id), false);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      assert.ok(one.heard <= other.said);
      if (one.heardEnd) assert.deepEqual([one.heard, one.heardTrailers], [other.said, other.saidTrailers]);
      if (one.abort?.kind === "reset") assert.equal(one.abort.code, other.resetWith);
      if (one.abort?.kind === "unprocessed" || one.abort?.kind === "violation") assert.fail(`stream ${one.id}`);
      if (one.abort?.kind === "lost" || one.abort?.kind === "unsent")
        assert.ok(this.cut || other.resetWith !== undefined, `stream ${one.id} was lost`);
    }
  }

  /** What each end may send is what the other one expects. */
  private checkWindows(): void {
    const window = (party: Party, side: "sender" | "receiver"): number => {
      const holder: unknown = Reflect.get(party.connection, side);
      assert.ok(typeof holder === "object" && holder !== null && "window" in holder);
      assert.ok(typeof holder.window === "object" && holder.window !== null && "available" in holder.window);
      return Number(holder.window.available);
    };
    const [client, server] = this.parties;
    assert.equal(window(client, "sender"), window(server, "receiver"));
    assert.equal(window(server, "sender"), window(client, "receiver"));
  }

  /** Ends the connection, after which nothing may be left. */
  private async finish(): Promise<void> {
    for (const party of this.parties) party.connection.close("done");
    for (let round = 0; round < 5; round++) {
      for (const { end } of this.parties) end.complete();
      await settled(1);
      for (const at of [0, 1]) this.deliver(at, 1_000_000);
    }
    this.clock.advance(20_000);
    await settled(2);
    assert.equal(this.clock.pending, 0, "a timer is left");
    for (const { end, cause, loop } of this.parties) {
      assert.ok(end.destroyed && cause !== undefined);
      const dirty: unknown = Reflect.get(loop, "dirty");
      assert.ok(Array.isArray(dirty) && dirty.length === 0);
    }
  }
}
