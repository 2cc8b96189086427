// 100,000 random paths and 10,000 random authorities leave series, watches and memory of the sidecars bounded. The authorities
// are made up against an embedded registry and against a real Consul.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startConsul } from "../support/consul.ts";
import { EngineClient, EngineServer } from "../support/engine-peer.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { socketsOf } from "../support/process-sockets.ts";
import { parseMetrics } from "../support/prometheus.ts";
import { seededRandom } from "../support/random.ts";
import { callHead } from "../support/raw-call.ts";
import { realPart } from "../support/real-parts.ts";
import { runLong } from "../support/results.ts";
import {
  inspectable,
  mebibytes,
  residentMemory,
  retainedMemory,
  type SidecarProcess,
  startSidecarProcess,
} from "../support/sidecar-process.ts";
import { eventually } from "../support/with-proxy.ts";

const PATHS = 100_000;
const AUTHORITIES = 10_000;
/** Methods with a label of their own, as the contract has it. */
const METHODS = 500;
const NAMES = 200;
/** MiB by which what is left after a full collection may differ between a quarter of the calls and all of them. */
const GROWTH = 6;
/** MiB of resident memory, however long it goes on: V8 takes more of it for a while than it needs. */
const RESIDENT = 280;

interface State {
  readonly methods: number;
  readonly upstreams: string[];
  readonly series: number;
  readonly retainedMiB: number;
  readonly residentMiB: number;
}

async function stateOf(sidecar: SidecarProcess): Promise<State> {
  const families = parseMetrics(String(await sidecar.admin("/metrics")));
  const handled = families.get("outrigger_calls_handled_total")?.samples ?? [];
  const all = [...families.values()].flatMap(({ samples }) => samples);
  const named = all.map(({ labels }) => labels.upstream).filter((name) => name !== undefined);
  return {
    methods: new Set(handled.map(({ labels }) => labels.method)).size,
    upstreams: [...new Set(named)].sort(),
    series: all.length,
    residentMiB: mebibytes(await residentMemory(sidecar.pid)),
    retainedMiB: mebibytes(await retainedMemory(sidecar)),
  };
}

function checkMemory(what: string, early: State, late: State): void {
  const growth = late.retainedMiB - early.retainedMiB;
  assert.ok(
    growth < GROWTH,
    `${what}: ${early.retainedMiB} MiB are held after a quarter, ${late.retainedMiB} after all`,
  );
  assert.ok(late.residentMiB < RESIDENT, `${what}: ${late.residentMiB} MiB of resident memory`);
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

function word(random: () => number, most: number): string {
  const length = 1 + Math.floor(random() * most);
  return Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join("");
}

/** Method names as somebody makes them up, some of them no method's at all. */
function randomPath(random: () => number): string {
  const draw = random();
  if (draw < 0.8) return `/${word(random, 20)}.v1.${word(random, 20)}/${word(random, 30)}`;
  if (draw < 0.9) return `/${word(random, 300)}`;
  return `/${word(random, 10)}/${word(random, 10)}?${word(random, 20)}="${word(random, 5)}`;
}

function randomAuthority(random: () => number): string {
  const label = word(random, 30).toLowerCase().replaceAll("_", "-");
  const draw = random();
  if (draw < 0.5) return label;
  if (draw < 0.6) return `${label}.service.consul:${Math.floor(random() * 65_536)}`;
  if (draw < 0.7) return `${label}.${word(random, 10)}.example.com`;
  if (draw < 0.8) return `${Math.floor(random() * 256)}.${Math.floor(random() * 256)}.1.1:80`;
  if (draw < 0.9) return `${word(random, 10)}@${label}`;
  // What HTTP/2 lets through, and no authority all the same.
  const odd = "-._~!$&'()*+,;=:[]%aZ09";
  return Array.from({ length: 10 }, () => odd[Math.floor(random() * odd.length)]).join("");
}

function* heads(count: number, make: () => PlainField[]): IterableIterator<PlainField[]> {
  for (let at = 0; at < count; at++) yield make();
}

function headFor(authority: string, path: string): PlainField[] {
  return callHead(authority).map((field): PlainField => (field[0] === ":path" ? [":path", path] : field));
}

/** Inotify watches of a process. */
async function inotifyWatches(pid: number): Promise<number> {
  let count = 0;
  for (const fd of await readdir(`/proc/${pid}/fdinfo`)) {
    const text = await readFile(`/proc/${pid}/fdinfo/${fd}`, "utf8").catch(() => "");
    count += text.split("\n").filter((line) => line.startsWith("inotify wd:")).length;
  }
  return count;
}

await runLong("bounded-names", async ({ short, seed, say }) => {
  const random = seededRandom(seed);
  const rounds = short ? 1 : 5;
  const folder = await mkdtemp(join(tmpdir(), "outrigger-long-"));
  const ends: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })];
  try {
    // --- paths, half of which the application answers ---
    const application = await EngineServer.start((request) => [
      [":status", "200"],
      ["content-type", "application/grpc"],
      ["grpc-status", (request.get(":path") ?? "").length % 2 === 0 ? "0" : "12"],
    ]);
    ends.unshift(() => application.stop());
    const near = await startSidecarProcess(
      { service: { name: "up", address: application.address, health: "none" }, log: { access: "none" } },
      inspectable,
    );
    ends.unshift(() => near.process.stop());
    const upstreams = { up: { discovery: "static", endpoints: [near.address("inbound")] } };
    const far = await startSidecarProcess({ upstreams, log: { access: "none" } }, inspectable);
    ends.unshift(() => far.process.stop());
    const caller = await EngineClient.connect(far.address("outbound"));
    ends.unshift(() => caller.close());
    const paths = (count: number) =>
      caller.flood(
        heads(count, () => headFor("up", randomPath(random))),
        100,
        () => {},
      );
    await paths(PATHS / 4);
    const quarter = [await stateOf(far), await stateOf(near)];
    await paths((PATHS * 3) / 4 + (rounds - 1) * PATHS);
    const all = [await stateOf(far), await stateOf(near)];
    say(`${application.requests} random paths: ${JSON.stringify(all)}`);
    for (const [at, end] of all.entries()) {
      const before = quarter[at];
      assert.ok(before !== undefined);
      assert.deepEqual(end.upstreams, ["", "up"]);
      assert.ok(end.methods <= METHODS + 1, `${end.methods} methods have a label`);
      assert.equal(end.series, before.series, "the series are complete after a quarter");
      checkMemory("paths", before, end);
    }

    // --- authorities, against each source that can be asked for names that nobody declared ---
    const sources: [
      name: string,
      discovery: object,
      watches: (sidecar: SidecarProcess) => Promise<number>,
      most: number,
    ][] = [["directory", { directory: { path: folder } }, ({ pid }) => inotifyWatches(pid), 4]];
    if (realPart("consul") === undefined && process.env.REQUIRE_REAL !== "1") {
      say("no Consul is installed here: authorities are made up against the embedded registry alone");
    } else {
      const consul = await startConsul();
      ends.unshift(() => consul.stop());
      const queries = async ({ pid }: SidecarProcess): Promise<number> =>
        (await socketsOf(pid)).filter(({ remote }) => remote === `127.0.0.1:${consul.port}`).length;
      sources.push(["consul", { consul: { address: consul.address } }, queries, 70]);
    }
    const figures: Record<string, object> = {};
    for (const [name, discovery, watches, most] of sources) {
      const onDemand = { max: NAMES, rate: "1000/s", negative: "1s" };
      const sidecar = await startSidecarProcess(
        { discovery, names: { onDemand }, upstreams: { declared: {} }, log: { access: "none" } },
        inspectable,
      );
      ends.unshift(() => sidecar.process.stop());
      const client = await EngineClient.connect(sidecar.address("outbound"));
      ends.unshift(() => client.close());
      const reasons = new Map<string, number>();
      let seen = 0;
      const makeUp = (count: number) =>
        client.flood(
          heads(count, () => headFor(randomAuthority(random), "/a.B/C")),
          50,
          (answer) => {
            const reason = answer.get("outrigger-reason") ?? "none";
            reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
          },
        );
      const before = await watches(sidecar);
      await makeUp(AUTHORITIES / 4);
      const early = await stateOf(sidecar);
      for (let round = 0; round < rounds; round++) {
        await makeUp(round === 0 ? (AUTHORITIES * 3) / 4 : AUTHORITIES);
        seen = Math.max(seen, await watches(sidecar));
      }
      const late = await stateOf(sidecar);
      say(
        `random authorities, ${name}: ${JSON.stringify(Object.fromEntries(reasons))}, ${seen} watches, ${JSON.stringify(late)}`,
      );
      for (const reason of ["NO_ENDPOINTS", "LOOKUP_LIMIT", "NO_ROUTE", "BAD_AUTHORITY"])
        assert.ok((reasons.get(reason) ?? 0) > 0, `${reason} was answered`);
      assert.deepEqual(late.upstreams, ["", "declared"]);
      assert.equal(late.series, early.series);
      checkMemory(name, early, late);
      assert.ok(seen <= most, `${seen} watches at once`);
      // Names that turned out to be nothing are forgotten, and their watches with them.
      await eventually(
        async () => (await watches(sidecar)) <= before + 1,
        () => `the watches are given back, there were ${before}`,
        15_000,
      );
      figures[name] = {
        reasons: Object.fromEntries(reasons),
        watches: seen,
        series: late.series,
        memory: [late.retainedMiB, late.residentMiB],
      };
    }
    return { paths: all, authorities: figures };
  } finally {
    for (const end of ends) await end();
  }
});
