import assert from "node:assert/strict";
import { readCache, writeCache } from "../../src/discovery/cache-record.ts";
import { readChain } from "../../src/discovery/consul/chain/reader.ts";
import { judge } from "../../src/discovery/consul/judge.ts";
import { readExecuted, readHealth } from "../../src/discovery/consul/schema.ts";
import { parseRecord } from "../../src/discovery/directory/record.ts";
import { readIntentions } from "../../src/filters/intentions/intention.ts";
import { mutateText } from "./mutate-text.ts";
import { pick, type Random, shape, type Target } from "./target.ts";

const CONSUL = { "x-consul-index": "7", "x-consul-knownleader": "true" };

/** Something that reads a text of others: it gives what it has made of it, or a sentence, and never throws. */
type Read = (text: string) => unknown;

const readers: Readonly<Record<string, Read>> = {
  health: (text) => {
    const answer = readHealth(CONSUL, text);
    if (typeof answer === "string") return answer;
    for (const { address, weight, meta } of answer.endpoints) {
      assert.ok(address.kind === "tcp" && Number.isInteger(address.port) && address.port >= 0 && address.port < 65_536);
      assert.ok(Number.isFinite(weight));
      assert.ok(Object.values(meta).every((value) => typeof value === "string"));
    }
    judge({ index: 1n, size: 1, doubtEmptyUntil: 0 }, answer, 0);
    return answer.endpoints.length === 0 ? "no endpoints" : answer;
  },
  executed: (text) => readExecuted(CONSUL, text, 3n),
  intentions: (text) => {
    const list = json(text);
    return Array.isArray(list) ? readIntentions(list) : "no list";
  },
  chain: (text) => readChain(text),
  record: (text) => parseRecord(text),
  cache: (text) => {
    const content = readCache(text);
    if (content.kind !== "answers") return content.why.replace(/ version [\s\S]*/, " another version");
    // What was read is written and read again as the same.
    assert.deepEqual(readCache(writeCache(content.answers)), content);
    return content;
  },
};

const seeds: readonly (readonly [name: string, value: unknown])[] = [
  [
    "health",
    [
      {
        Node: { Node: "n", Address: "10.0.0.1" },
        Service: { ID: "a", Service: "up", Address: "", Port: 80, Meta: { outrigger: "1" }, Weights: { Passing: 3 } },
        Checks: [{ Status: "passing" }],
      },
    ],
  ],
  ["health", null],
  ["executed", { Service: "up", Nodes: [{ Node: { Node: "n" }, Service: { ID: "a", Address: "h", Port: 1 } }] }],
  [
    "intentions",
    [
      { SourceName: "*", DestinationName: "up", Action: "deny", Precedence: 8 },
      {
        SourceName: "a",
        DestinationName: "up",
        Precedence: 9,
        Permissions: [
          {
            Action: "allow",
            HTTP: { PathPrefix: "/", Methods: ["GET"], Header: [{ Name: "x", Regex: "a.*", Invert: true }] },
          },
        ],
        JWT: { Providers: [{ Name: "p", VerifyClaims: [{ Path: ["a"], Value: "b" }] }] },
      },
    ],
  ],
  [
    "chain",
    {
      Chain: {
        ServiceName: "up",
        Namespace: "default",
        Datacenter: "dc1",
        Protocol: "grpc",
        StartNode: "router:up",
        Nodes: {
          "router:up": {
            Type: "router",
            Name: "up",
            Routes: [{ Definition: { Match: { HTTP: { PathPrefix: "/" } } }, NextNode: "splitter:up" }],
          },
          "splitter:up": { Type: "splitter", Name: "up", Splits: [{ Weight: 100, NextNode: "resolver:up" }] },
          "resolver:up": {
            Type: "resolver",
            Name: "up",
            Resolver: { ConnectTimeout: "5s", Target: "up.default.default.dc1" },
          },
        },
        Targets: { "up.default.default.dc1": { ID: "up.default.default.dc1", Service: "up", Datacenter: "dc1" } },
      },
    },
  ],
  [
    "record",
    {
      outrigger: 1,
      registration: { id: "a", name: "up", host: "h", port: 1, tags: ["x"], meta: { a: "b" }, weight: 1 },
      serving: true,
      note: "",
      process: { pid: 1, host: "h", namespace: "n" },
      heartbeat: 1,
    },
  ],
  [
    "cache",
    {
      outriggerDiscoveryCache: 1,
      answers: [
        {
          key: "k",
          updatedAt: 1,
          endpoints: [{ id: "a", address: { kind: "tcp", host: "h", port: 1 }, weight: 1, tags: [], meta: {} }],
        },
      ],
    },
  ],
];

/** JSON from Consul and from files of others: a name of a reader in the first line, then the text. */
export const answers: Target = {
  name: "answers",
  seeds: () => seeds.map(([name, value]) => Buffer.from(`${name}\n${JSON.stringify(value)}`)),
  mutate(input, random, others) {
    const { name, text } = parts(input);
    // One other of its kind, if there is one near: to look at all of them for each input makes too much garbage.
    const other = others.length === 0 ? undefined : parts(pick(random, others));
    const alike = other?.name === name ? [Buffer.from(other.text)] : [];
    const value = json(text);
    const changed =
      value === undefined || random(4) === 0
        ? mutateLetters(Buffer.from(text), random, alike).toString("latin1")
        : Buffer.from(JSON.stringify(changeValue(value, random))).toString("latin1");
    return Buffer.from(`${name}\n${changed}`.slice(0, 4096), "latin1");
  },
  run(input) {
    const { name, text } = parts(input);
    const read = readers[name];
    if (read === undefined) return ["nobody reads it"];
    const found = read(text);
    // What is wrong stands at the end of a sentence; where, and with which name, would make each input one of a kind.
    const what = typeof found === "string" ? shape(found).split(" ").slice(-3).join(" ").slice(0, 40) : "read";
    return [`${name}: ${what}`];
  },
};

function parts(input: Buffer): { readonly name: string; readonly text: string } {
  const whole = input.toString("utf8");
  const end = whole.indexOf("\n");
  return { name: whole.slice(0, Math.max(0, end)), text: whole.slice(end + 1) };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  65_536,
  "",
  "a",
  "*",
  "5s",
  "-1ms",
  "9".repeat(30),
  "up.default.default.dc1",
  "resolver:up",
  "router:up",
  "(",
  "(a+)+$",
  [],
  {},
  [null],
  [[]],
  { a: null },
];
const KEYS = [
  "Type",
  "Name",
  "Targets",
  "Failover",
  "NextNode",
  "Weight",
  "Subset",
  "Definition",
  "__proto__",
  "constructor",
  "Default",
];

/** Puts another value in some place of one. */
function changeValue(value: unknown, random: Random): unknown {
  if (random(6) === 0 || typeof value !== "object" || value === null) return pick(random, VALUES);
  if (Array.isArray(value)) {
    const copy: unknown[] = [...value];
    const at = random(copy.length + 1);
    const how = random(4);
    if (how === 0) copy.splice(at, 1);
    else if (how === 1) copy.splice(at, 0, copy[random(copy.length + 1)] ?? null);
    else copy[at] = changeValue(copy[at] ?? {}, random);
    return copy;
  }
  const entries = Object.entries(value);
  const at = random(entries.length + 1);
  const [key, inner] = entries[at] ?? [pick(random, KEYS), pick(random, VALUES)];
  if (random(5) === 0) entries.splice(at, 1);
  else entries[at] = [random(10) === 0 ? pick(random, KEYS) : key, changeValue(inner, random)];
  return Object.fromEntries(entries);
}

const mutateLetters = mutateText(['"', "{", "}", "[", "]", ":", ",", "null", "1e999", "\\u0000", '"__proto__":', "-0"]);
