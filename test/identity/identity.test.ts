import assert from "node:assert/strict";
import { test } from "node:test";
import pino from "pino";
import { Identity } from "../../src/identity/identity.ts";
import type { IdentitySource, Material, MaterialTaker } from "../../src/identity/material.ts";
import { consulPattern } from "../../src/identity/spiffe.ts";
import { TestCa } from "../support/certificates.ts";
import { FakeClock } from "../support/clock.ts";

const MINUTE = 60_000;
/** A certificate of these tests lives from the clock's beginning for so long. */
const LIFE = 60 * MINUTE;

/** A source that gives what a test says, and notes when it is asked for more. */
class Source implements IdentitySource {
  readonly kind = "spiffe";
  readonly asked: number[] = [];
  taker: MaterialTaker | undefined = undefined;
  private readonly clock: FakeClock;
  private readonly first: Material;

  constructor(clock: FakeClock, first: Material) {
    this.clock = clock;
    this.first = first;
  }

  async start(taker: MaterialTaker): Promise<void> {
    this.taker = taker;
    taker.take(this.first);
  }

  renew(): void {
    this.asked.push(this.clock.now());
  }

  async close(): Promise<void> {}
}

async function started(random: number) {
  const ca = await TestCa.make();
  const epoch = Math.floor(Date.now() / 1000) * 1000;
  const clock = new FakeClock(epoch);
  const issued = (at: number): Promise<Material> =>
    ca.material("up", { notBefore: epoch + at, notAfter: epoch + at + LIFE });
  const source = new Source(clock, await issued(0));
  const lines: { readonly level: number; readonly msg: string }[] = [];
  const identity = new Identity(source, {
    rules: { own: [consulPattern("up", {})], minVersion: "TLSv1.3" },
    overlap: MINUTE,
    clock,
    log: pino({ level: "debug" }, { write: (line) => void lines.push(JSON.parse(line)) }),
    random: () => random,
  });
  await identity.start();
  return { identity, source, clock, issued, lines };
}

test("another certificate is asked for at two thirds of its life, spread over a twentieth of it", async () => {
  for (const [random, due] of [
    [0, 40 * MINUTE],
    [0.5, 41.5 * MINUTE],
    [0.999, 42.997 * MINUTE],
  ] as const) {
    const { identity, source, clock, issued } = await started(random);
    clock.advance(due - 1000);
    assert.deepEqual(source.asked, [], `too early with ${random}`);
    clock.advance(1500);
    assert.equal(source.asked.length, 1);
    source.taker?.take(await issued(due));
    clock.advance(40 * MINUTE - 1000);
    assert.equal(source.asked.length, 1, "the next one is asked for at two thirds of its own life");
    await identity.close();
    assert.equal(clock.pending, 0);
  }
});

test("a source that gives none is asked again, with pauses that double up to a minute, until it gives one", async () => {
  const { identity, source, clock, issued } = await started(0.5);
  clock.advance(41.5 * MINUTE);
  // Half of the bound, for random is a half, and a second.
  const pauses = [1.5, 2, 3, 5, 9, 17, 31, 31, 31].map((seconds) => seconds * 1000);
  clock.advance(pauses.reduce((sum, pause) => sum + pause, 0));
  assert.deepEqual(
    source.asked.slice(1).map((at, n) => at - (source.asked[n] ?? 0)),
    pauses,
  );
  // Certificates know whole seconds only.
  clock.advance(500);
  const taken = clock.now();
  source.taker?.take(await issued(taken));
  source.asked.length = 0;
  clock.advance(41.5 * MINUTE - 1);
  assert.deepEqual(source.asked, []);
  clock.advance(1);
  assert.equal(source.asked.length, 1);
  clock.advance(1499);
  assert.equal(source.asked.length, 1);
  clock.advance(1);
  assert.equal(source.asked.length, 2, "and the pauses begin anew");
  await identity.close();
});

test("what a source gives that cannot be used changes nothing, and the last certificate ends with a word about why", async () => {
  const { identity, source, clock, lines, issued } = await started(0);
  const first = identity.credentials;
  clock.advance(45 * MINUTE);
  const other = await (await TestCa.make()).material("other");
  source.taker?.take(other);
  source.taker?.take({ ...other, certificate: "garbage" });
  assert.equal(identity.credentials, first);
  assert.equal(identity.warning, undefined);
  clock.advance(5 * MINUTE);
  assert.match(`${identity.warning}`, /has not been renewed: there is no certificate in it/);
  clock.advance(10 * MINUTE - 1);
  assert.equal(identity.credentials, first);
  clock.advance(1);
  assert.equal(identity.credentials, undefined);
  const told = lines.filter(({ level }) => level === 50).map(({ msg }) => msg);
  assert.equal(told.length, 1);
  assert.match(
    `${told[0]}`,
    /^the certificate expired at .*, no TLS connection is made: there is no certificate in it/,
  );
  source.taker?.take(await issued(60 * MINUTE));
  assert.equal(identity.notAfter, clock.wall() + LIFE);
  assert.equal(identity.problem, undefined);
  await identity.close();
});

test("a wall clock that is set forward is noticed when somebody asks, though no timer has run", async () => {
  const { identity, clock } = await started(0);
  const wall = clock.wall.bind(clock);
  clock.wall = () => wall() + 2 * LIFE;
  assert.equal(identity.credentials, undefined);
  await identity.close();
});

test("a certificate that ended by a wrong wall clock is in use again, and renewed in time, once that is set right", async () => {
  const { identity, source, clock } = await started(0);
  const wall = clock.wall.bind(clock);
  const inForce = () => identity.credentials;
  const first = inForce();
  clock.wall = () => wall() + 365 * 24 * LIFE;
  clock.advance(MINUTE);
  assert.equal(inForce(), undefined);
  assert.ok(source.asked.length > 0);
  source.asked.length = 0;
  clock.wall = wall;
  clock.advance(MINUTE);
  assert.equal(inForce()?.own.notAfter, first?.own.notAfter);
  assert.equal(identity.problem, undefined);
  clock.advance(37 * MINUTE);
  assert.deepEqual(source.asked, []);
  clock.advance(2 * MINUTE);
  assert.ok(source.asked.length > 0, "asked for another one at two thirds of its life");
  await identity.close();
});
