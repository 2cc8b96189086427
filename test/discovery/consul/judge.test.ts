import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, type Memory } from "../../../src/discovery/consul/judge.ts";
import type { HealthAnswer } from "../../../src/discovery/consul/schema.ts";

const ONE = [
  { id: "a", address: { kind: "tcp", host: "10.0.0.1", port: 1 }, weight: 1, zone: undefined, meta: {} },
] as const;
const memory: Memory = { index: 10n, size: 2, doubtEmptyUntil: 1000 };
const fresh: Memory = { index: 0n, size: undefined, doubtEmptyUntil: Number.NEGATIVE_INFINITY };
const answer: HealthAnswer = {
  index: 11n,
  streamed: false,
  knownLeader: true,
  filtered: false,
  endpoints: [],
  tenures: new Map(),
};

const table: readonly [title: string, memory: Memory, answer: Partial<HealthAnswer>, now: number, kind: string][] = [
  ["instances are believed", memory, { endpoints: ONE }, 0, "take"],
  ["instances are believed whatever the index does", memory, { endpoints: ONE, index: 3n }, 0, "take"],
  [
    "instances are believed where the server says nothing of a leader",
    memory,
    { endpoints: ONE, knownLeader: undefined },
    0,
    "take",
  ],
  [
    "instances of a server without a leader are not believed",
    memory,
    { endpoints: ONE, knownLeader: false },
    0,
    "keep",
  ],
  ["they are used where nothing else is known", fresh, { endpoints: ONE, knownLeader: false }, 0, "borrow"],
  [
    "nor is a list from before a start worth more than they are",
    { ...fresh, size: 2 },
    { endpoints: ONE, knownLeader: false },
    0,
    "borrow",
  ],
  [
    "an empty first answer is not believed at once where there was a list before the start",
    { index: 0n, size: 2, doubtEmptyUntil: 1000 },
    {},
    999,
    "keep",
  ],
  ["it is later", { index: 0n, size: 2, doubtEmptyUntil: 1000 }, {}, 1000, "take"],
  ["an empty first answer is believed", fresh, {}, 0, "take"],
  ["an empty first answer without a leader is not", fresh, { knownLeader: false }, 0, "keep"],
  ["an empty first answer that was filtered is not", fresh, { filtered: true }, 0, "keep"],
  ["empty stays empty without a cause", { ...memory, size: 0 }, { index: 10n }, 0, "take"],
  ["a list may become empty when it has moved on", memory, {}, 1000, "take"],
  ["not at the same index", memory, { index: 10n }, 1000, "keep"],
  ["not at a lower index", memory, { index: 9n }, 1000, "keep"],
  ["not where the server says nothing of a leader", memory, { knownLeader: undefined }, 1000, "keep"],
  ["not where the token may not see it", memory, { filtered: true }, 1000, "keep"],
  [
    "a stream's instances are believed where they have moved on",
    memory,
    { endpoints: ONE, streamed: true, knownLeader: false },
    0,
    "take",
  ],
  ["a stream that has not moved on says nothing", memory, { endpoints: ONE, streamed: true, index: 10n }, 0, "confirm"],
  ["a stream that went back says nothing", memory, { endpoints: ONE, streamed: true, index: 3n }, 0, "confirm"],
  ["a stream does not empty a list by itself", memory, { streamed: true }, 1000, "confirm"],
  ["not right after an outage", memory, {}, 999, "keep"],
];

for (const [title, remembered, change, now, kind] of table) {
  test(`what consul answers: ${title}`, () => {
    assert.equal(judge(remembered, { ...answer, ...change }, now).kind, kind);
  });
}
