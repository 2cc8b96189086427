import assert from "node:assert/strict";
import { test } from "node:test";
import { type Placed, Roster } from "../../src/core/roster.ts";

interface Ranked extends Placed {
  readonly rank: number;
}

function rosterOf(...ranks: readonly number[]): { roster: Roster<Ranked>; all: Ranked[] } {
  const roster = new Roster<Ranked>();
  const all = ranks.map((rank) => ({ rank, place: -1 }));
  for (const one of all) roster.add(one);
  return { roster, all };
}

const rankOf = ({ rank }: Ranked): number => rank;

test("of few the one with the least rank is found, wherever the look begins, and none that has no rank", () => {
  const { roster, all } = rosterOf(5, 3, Number.POSITIVE_INFINITY, 4);
  for (let look = 0; look < 5; look++) assert.equal(roster.least(rankOf), all[1]);
  for (const one of all) if (one.rank !== Number.POSITIVE_INFINITY) roster.delete(one);
  assert.equal(roster.least(rankOf), undefined);
  assert.equal(new Roster<Ranked>().least(rankOf), undefined);
});

test("of many some are looked at, others each time, and as many as it takes to find one", () => {
  const { roster } = rosterOf(...Array.from({ length: 1000 }, (_, rank) => rank));
  let looked = 0;
  const found = new Set<number | undefined>();
  for (let look = 0; look < 5; look++)
    found.add(
      roster.least(({ rank }) => {
        looked++;
        return rank;
      })?.rank,
    );
  assert.deepEqual([looked, found.size, found.has(0)], [1000, 5, true]);
  const { roster: busy, all } = rosterOf(...Array.from({ length: 1000 }, () => Number.POSITIVE_INFINITY), 7);
  assert.equal(busy.least(rankOf), all.at(-1));
});

test("where none is to be found all are looked at once, and from then on some each time until one is", () => {
  const { roster, all } = rosterOf(...Array.from({ length: 1000 }, () => Number.POSITIVE_INFINITY));
  let looked = 0;
  const look = (): Ranked | undefined =>
    roster.least(({ rank }) => {
      looked++;
      return rank;
    });
  for (let turn = 0; turn < 10; turn++) assert.equal(look(), undefined);
  assert.equal(looked, 1000 + 9 * 200);
  const one = { rank: 7, place: -1 };
  roster.add(one);
  let found: Ranked | undefined;
  for (let turn = 0; turn < 6; turn++) found ??= look();
  assert.equal(found, one);
  // Another one is found at once again.
  roster.delete(one);
  const other = all[500];
  if (other !== undefined) roster.delete(other);
  roster.add(one);
  assert.equal(look(), one);
});
