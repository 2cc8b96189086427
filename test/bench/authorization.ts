/**
 * What deciding about a caller costs on the path of a call: rules, intentions, and a token that has been verified before.
 *
 *   node test/bench/authorization.ts    nanoseconds a call, the best of many rounds
 */
import { pino } from "pino";
import { systemClock } from "../../src/core/clock.ts";
import { loadRegex } from "../../src/core/regex.ts";
import { Authorization } from "../../src/filters/authorization.ts";
import { readIntentions } from "../../src/filters/intentions/intention.ts";
import { Tokens } from "../../src/filters/jwt/tokens.ts";
import { Call } from "../../src/http/call.ts";
import { HeaderTable } from "../../src/http/headers.ts";
import { parseSpiffeId } from "../../src/identity/spiffe.ts";

const CALLS = 100_000;
const ROUNDS = 40;
const PATH = "/bench.v1.Bench/Call";

const log = pino({ level: "silent" });
const headers = new HeaderTable();
const token = `${"e".repeat(60)}.${"p".repeat(600)}.${"s".repeat(86)}`;
const head = headers.head([
  [":method", "POST"],
  [":path", PATH],
  ["content-type", "application/grpc"],
  ["authorization", `Bearer ${token}`],
]);
const call = new Call("inbound", "10.0.0.1:4711", head, PATH, true, 0);
call.identity = "spiffe://bench.mesh/ns/default/dc/dc1/svc/web";

const consul = { SourceNS: "default", DestinationName: "up", SourceType: "consul" };
const others = Array.from({ length: 100 }, (_, at) => ({
  ...consul,
  SourceName: `s${at}`,
  Precedence: 9,
  Action: "deny",
}));
const regex = await loadRegex();

async function authorization(own: object | undefined): Promise<Authorization> {
  const made = new Authorization({ now: () => 0 }, log);
  const id = parseSpiffeId("spiffe://bench.mesh/ns/default/dc/dc1/svc/up");
  if (typeof id !== "string") made.own = () => id;
  const any = { identities: undefined, services: undefined, methods: undefined, addresses: undefined };
  const rule = {
    ...any,
    name: "web",
    mode: "enforce",
    services: ["web"],
    metadata: new Map(),
    claims: new Map(),
  } as const;
  made.apply({
    default: "deny",
    intentions: own === undefined ? undefined : "consul",
    mode: "enforce",
    openCalls: "finish",
    deny: [],
    allow: own === undefined ? [rule] : [],
  });
  if (own === undefined) return made;
  const intentions = readIntentions([...others, { ...consul, SourceName: "web", Precedence: 9, ...own }]);
  if (typeof intentions === "string") throw new Error(intentions);
  made.setIntentions({ intentions, byDefault: "deny", regex });
  return made;
}

async function tokens(): Promise<Tokens> {
  const made = new Tokens({ clock: systemClock, headers });
  const from = [{ metadata: "authorization", prefix: "Bearer " }];
  const claims = new Map([["x-user", "sub"]]);
  made.apply({ providers: new Map([["accounts", { from, toApplication: "strip", claims }]]), rules: [] });
  const until = systemClock.wall() + 3_600_000;
  made.verify = () => Promise.resolve({ kind: "verified", provider: "accounts", claims: { sub: "ann" }, until });
  await made.onRequest(call);
  call.head = head;
  return made;
}

function measure(decide: (made: Call) => unknown): number {
  let lowest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now();
    for (let at = 0; at < CALLS; at++) {
      call.head = head;
      if (decide(call) !== undefined) throw new Error("the call is refused, or waits");
    }
    lowest = Math.min(lowest, ((performance.now() - begun) * 1e6) / CALLS);
  }
  return lowest;
}

const permissions = [
  { Action: "deny", HTTP: { PathPrefix: "/admin" } },
  { Action: "allow", HTTP: { PathRegex: "/bench\\.v1\\..*", Methods: ["POST"] } },
];
const byRule = await authorization(undefined);
const bySource = await authorization({ Action: "allow" });
const byPermission = await authorization({ Permissions: permissions });
const byToken = await tokens();
for (const [name, decide] of [
  ["a rule by service", (made: Call) => byRule.onRequest(made)],
  ["101 intentions, by source", (made: Call) => bySource.onRequest(made)],
  ["101 intentions, by path and method", (made: Call) => byPermission.onRequest(made)],
  ["a token of 750 octets, a claim told", (made: Call) => byToken.onRequest(made)],
] as const)
  process.stdout.write(`${name.padEnd(44)}${measure(decide).toFixed(0).padStart(6)} ns a call\n`);
