// 1,000 reloads, half of them of broken files, of a caller's sidecar and of a replica's, under 500 open streams and calls: no
// stream is reset, no call fails; a broken file changes nothing and is told in the log, in the metric and by /ready. With
// --short 120 reloads.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CountingCaller } from "../support/caller.ts";
import { Tally } from "../support/counting.ts";
import { OpenStreams } from "../support/open-streams.ts";
import { freePorts } from "../support/ports.ts";
import { parseMetrics, sampleValue } from "../support/prometheus.ts";
import { seededRandom } from "../support/random.ts";
import { brokenOffer, type Fixed, goodOffer, type Offer, OfferedFile, ways } from "../support/reload-offers.ts";
import { runLong } from "../support/results.ts";
import { type SidecarProcess, startSidecarOf } from "../support/sidecar-process.ts";
import { eventually } from "../support/with-proxy.ts";

const STREAMS = 500;
/** Calls a second beside the streams. */
const RATE = 100;
/** Milliseconds in which an offer has to be told of, on a machine that does other things as well. */
const PATIENCE = 10_000;

/** A sidecar with a file, and what it has been told by it. */
class Reloaded {
  readonly name: string;
  readonly sidecar: SidecarProcess;
  applied = 0;
  refused = 0;
  /** Of its reloads so many were asked for by a signal as well. */
  signals = 0;
  /** Milliseconds from the write to the answer, of each offer. */
  readonly took: number[] = [];
  private readonly file: OfferedFile;
  private readonly fixed: Fixed;

  private constructor(name: string, sidecar: SidecarProcess, file: OfferedFile, fixed: Fixed) {
    this.name = name;
    this.sidecar = sidecar;
    this.file = file;
    this.fixed = fixed;
  }

  static async start(folder: string, name: string, fixed: Fixed): Promise<Reloaded> {
    await mkdir(join(folder, name));
    const file = await OfferedFile.write(join(folder, name), goodOffer(fixed, () => 0.99, 0).text);
    return new Reloaded(name, await startSidecarOf(file.path), file, fixed);
  }

  /** Offers a file, a good one after a broken one, in one of the ways, and holds what becomes of it. */
  async reload(random: () => number, serial: number): Promise<void> {
    const good = this.refused > this.applied;
    const offer = (good ? goodOffer : brokenOffer)(this.fixed, random, serial);
    const way = ways[Math.floor(random() * ways.length)] ?? "in place";
    const before = good ? undefined : await this.sidecar.admin("/config");
    await this.file.offer(offer.text, way);
    const began = performance.now();
    if (random() < 0.2) {
      this.signals++;
      this.sidecar.process.signal("SIGHUP");
    }
    const what = `${this.name} ${serial}: ${offer.name}, ${way}`;
    await (good ? this.isApplied(what) : this.isRefused(what, offer));
    this.took.push(performance.now() - began);
    if (!good) assert.deepEqual(await this.sidecar.admin("/config"), before, `${what}: it changed something`);
  }

  private async isApplied(what: string): Promise<void> {
    this.applied++;
    await this.shows(what, this.applied + 1, 1);
    assert.deepEqual(await this.sidecar.admin("/ready"), { ready: true }, what);
  }

  private async isRefused(what: string, { refusal }: Offer): Promise<void> {
    this.refused++;
    await this.shows(what, this.applied + 1, 0);
    let told: unknown;
    await eventually(
      async () => {
        const ready = Object(await this.sidecar.admin("/ready"));
        told = ready;
        return ready.ready === true && refusal?.test(String(ready.detail)) === true;
      },
      () => `${what}: ${JSON.stringify(told)}`,
      PATIENCE,
    );
  }

  /** Waits for the two metrics that tell of reloads. */
  private async shows(what: string, version: number, success: number): Promise<void> {
    let seen: (number | undefined)[] = [];
    await eventually(
      async () => {
        const families = parseMetrics(String(await this.sidecar.admin("/metrics")));
        seen = ["outrigger_config_version", "outrigger_config_last_reload_success"].map((name) =>
          sampleValue(families, name),
        );
        return seen[0] === version && seen[1] === success;
      },
      () => `${what}: ${seen.join(", ")} and not ${version}, ${success}\n${this.sidecar.process.stderr().slice(-3000)}`,
      PATIENCE,
    );
  }
}

/** The streams and calls that must not notice. */
class Use {
  readonly streams: OpenStreams;
  readonly calls: CountingCaller;
  private stop: () => void = () => {};
  private over = false;
  private using: Promise<void> = Promise.resolve();

  constructor(address: string) {
    this.streams = new OpenStreams(STREAMS, address, "counter");
    this.calls = new CountingCaller("call", address, "counter");
  }

  /** Resolves once every stream stands. */
  async begin(): Promise<void> {
    await this.streams.round();
    this.stop = this.calls.pace(RATE);
    this.using = (async () => {
      while (!this.over) {
        await this.streams.round();
        await sleep(200);
      }
    })();
  }

  holds(): void {
    assert.deepEqual([...this.streams.broken], [], "streams that are not what they were");
    assert.deepEqual(this.calls.failed, [], "failed calls");
  }

  /** Uses them no more; the streams stay open. */
  async end(): Promise<void> {
    this.over = true;
    this.stop();
    await this.using;
    await this.calls.settled();
  }

  close(): void {
    this.over = true;
    this.stop();
    this.streams.destroy();
    this.calls.close();
  }
}

await runLong("reload", async ({ short, seed, say }) => {
  const reloads = short ? 120 : 1000;
  const random = seededRandom(seed);
  const folder = await mkdtemp(join(tmpdir(), "outrigger-reload-"));
  const tally = new Tally(folder);
  const app = await tally.start("application");
  const ports = await freePorts(9);
  const at = (index: number): string => `127.0.0.1:${ports[index]}`;
  const discovery = { directory: { path: join(folder, "mesh") } };
  const started: Reloaded[] = [];
  const ends: (() => void)[] = [];
  try {
    const replica = await Reloaded.start(folder, "replica", {
      base: {
        service: { name: "counter", address: app.address, id: "one" },
        listeners: { inbound: at(0), outbound: at(1), admin: at(2), probe: at(3) },
        discovery,
      },
      upstreams: {},
      listen: at(4),
      taken: at(5),
    });
    started.push(replica);
    const caller = await Reloaded.start(folder, "caller", {
      base: { listeners: { outbound: at(5), admin: at(6), probe: at(7) }, discovery },
      upstreams: { counter: {} },
      listen: at(8),
      taken: at(1),
    });
    started.push(caller);
    const use = new Use(at(5));
    ends.push(() => use.close());
    await use.begin();
    for (let serial = 1; serial <= reloads; serial++) {
      await (random() < 0.7 ? caller : replica).reload(random, serial);
      use.holds();
      if (serial % 100 === 0) say(`${serial} reloads, ${use.streams.echoes} echoes, ${use.calls.calls} calls`);
    }
    await use.end();
    assert.equal(await use.streams.close(), 0, "streams that did not end in good order");
    use.holds();
    for (const { name, applied, refused, signals, sidecar } of started) {
      const lines = sidecar.process.stderr().split("\n");
      const told = ["the configuration was applied", "the configuration was refused"].map(
        (message) => lines.filter((line) => line.includes(message)).length,
      );
      // Whoever sends a signal when the watch has told already is told again.
      const said = JSON.stringify({ name, told, applied, refused, signals });
      assert.ok(told[0] === applied && Number(told[1]) >= refused && Number(told[1]) <= refused + signals, said);
    }
    const { streams, calls } = use;
    const counted = parseMetrics(String(await caller.sidecar.admin("/metrics")));
    const labels = { direction: "outbound", upstream: "counter" };
    const begun = sampleValue(counted, "outrigger_calls_started_total", labels);
    assert.equal(begun, STREAMS + calls.calls, "calls that the caller's sidecar has counted over all reloads");
    const executions = await tally.executions();
    assert.deepEqual([executions.size, calls.answered.length], [calls.calls, calls.calls], "each call once");
    const took = started.flatMap((one) => one.took).sort((a, b) => a - b);
    return {
      reloads,
      streams: STREAMS,
      echoes: streams.echoes,
      resets: 0,
      calls: calls.calls,
      failedCalls: calls.failed.length,
      toldWithinMs: { median: Math.round(took[took.length >> 1] ?? 0), most: Math.round(took.at(-1) ?? 0) },
      sidecars: started.map(({ name, applied, refused }) => ({ name, applied, refused })),
    };
  } finally {
    for (const end of ends) end();
    await Promise.all([app.process.kill(), ...started.map(({ sidecar }) => sidecar.process.kill())]);
    await rm(folder, { recursive: true, force: true });
  }
});
