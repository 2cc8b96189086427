// Attacks on the inbound listener, alone and all together, beside honest callers: 800 calls a second on standing connections and
// 20 new connections a second, each with a deadline of 1 s. The attackers are raw clients in a process of their own, on another
// processor than the sidecar. No honest call on a standing connection may fail, 99 % of the new connections have to be served,
// memory stays bounded, and what is to be stopped is. An attack whose limit is lifted has to do harm, or it was too weak.
// With --short each attack is a burst, timeouts are shorter, and no call fails for being slow: machines of CI are busy.
import { setTimeout as sleep } from "node:timers/promises";
import { defaultHandshakeLimits } from "../../src/identity/handshake-limits.ts";
import type { Figures } from "../attacks/front.ts";
import type { Honest, HonestRates } from "../attacks/honest.ts";
import { type Control, type Damage, type Row, rows } from "../attacks/rows.ts";
import { type Scene, startAttack, startScene } from "../attacks/scene.ts";
import { cpuSeconds } from "../bench/process-figures.ts";
import { withDescriptors } from "../support/descriptors.ts";
import { type LongRun, runLong } from "../support/results.ts";
import { MemoryWatch, mebibytes, residentMemory } from "../support/sidecar-process.ts";

/** How one form of the test is run. Milliseconds. */
interface Form {
  readonly rates: HonestRates;
  readonly deadline: number;
  /** The same without a limit, where calls are to fail. */
  readonly doomed: number;
  /** Without an attack, before and after it. */
  readonly calm: number;
  readonly after: number;
  readonly attack: number;
  /** What costs a processor takes longer to show itself. */
  readonly handshaking: number;
  /** Until the sidecar has ended a connection in each place. */
  readonly patience: number;
  /** What a place is multiplied by. */
  readonly size: number;
  /** In place of the defaults. */
  readonly limits: Control["lift"];
  readonly handshakes: NonNullable<Control["handshakes"]>;
}

const full: Form = {
  rates: { calls: 800, connections: 20 },
  deadline: 1000,
  doomed: 1000,
  calm: 3000,
  after: 3000,
  attack: 15_000,
  handshaking: 15_000,
  patience: 5000,
  size: 1,
  limits: {},
  handshakes: {},
};

const short: Form = {
  rates: { calls: 200, connections: 10 },
  deadline: 30_000,
  doomed: 1500,
  calm: 300,
  after: 0,
  attack: 1000,
  handshaking: 4000,
  patience: 20_000,
  size: 0.2,
  limits: { handshakeTimeout: 1500, frameTimeout: 1500, unread: 33_554_432 },
  // Honest callers come from one address, ten times a second.
  handshakes: { timeout: "1500ms", rate: 20, strangers: 10 },
};

/** Share of new connections that have to be served. */
const SERVED = 0.99;
/** Places of an attack in which the sidecar has to end a connection. */
const DUE: Readonly<Record<Row["stopped"], number>> = { each: Number.MAX_SAFE_INTEGER, some: 1, none: 0 };

/** What became of one attack. */
interface Outcome {
  readonly name: string;
  readonly undisturbed: Honest;
  readonly honest: Honest;
  readonly attack: Readonly<Record<string, Figures>>;
  /** MiB of resident memory; NaN where the sidecar is no longer there. */
  readonly memory: { readonly before: number; readonly peak: number; readonly after: number };
  /** Share of a processor that the sidecar used. */
  readonly cpu: number;
  readonly harm: Damage[];
}

async function attackOne(
  scene: Scene,
  row: Row,
  form: Form,
  patience = form.patience,
  stronger?: Row["attacks"],
): Promise<Outcome> {
  const { sidecar, callers } = scene;
  const undisturbed = await callers.call(form.rates, form.calm);
  let isUp = true;
  void sidecar.process.exited.then(() => {
    isUp = false;
  });
  const memory = async (): Promise<number> => await residentMemory(sidecar.pid).then(mebibytes, () => Number.NaN);
  const before = await memory();
  const watch = new MemoryWatch([sidecar.pid]);
  await watch.begin();
  const cpu = cpuSeconds([sidecar.pid]);
  const begun = performance.now();
  const attacks = Object.fromEntries(
    Object.entries(stronger ?? row.attacks).map(([name, count]) => [name, Math.max(2, Math.round(count * form.size))]),
  );
  const attackers = await startAttack({
    address: sidecar.address("inbound"),
    attacks,
    milliseconds: row.handshakesOf === undefined ? form.attack : form.handshaking,
    patience,
    due: DUE[row.stopped],
  });
  const honest = await callers.call(form.rates, form.attack);
  const spent = isUp ? cpuSeconds([sidecar.pid]) - cpu : Number.NaN;
  const elapsed = (performance.now() - begun) / 1000;
  const attack = await attackers.figures();
  const [grown = Number.NaN] = isUp ? await watch.end() : [];
  await sleep(form.after);
  const peak = Math.round((before + mebibytes(grown)) * 10) / 10;
  const harm: Damage[] = [];
  if (honest.standing.failed > 0) harm.push("standing");
  if (honest.fresh.failed > honest.fresh.offered * (1 - SERVED)) harm.push("fresh");
  if (peak - before > row.memory) harm.push("memory");
  if (Object.values(attack).some(({ untouched, places }) => places - untouched < Math.min(DUE[row.stopped], places)))
    harm.push("neverStopped");
  if (row.handshakesOf !== undefined) {
    const { rate, strangers } = { ...defaultHandshakeLimits, ...form.handshakes };
    const all = row.handshakesOf === "all" ? Number(strangers) : row.handshakesOf * Number(rate);
    // Twice as many at once.
    if (Object.values(attack).some(({ units, elapsed: ms }) => units > all * (2 + ms / 1000))) harm.push("tooMuch");
  }
  if (!isUp) harm.push("died");
  return {
    name: row.name,
    undisturbed,
    honest,
    attack,
    memory: { before, peak, after: await memory() },
    cpu: spent / elapsed,
    harm,
  };
}

/** An outcome as people read it. Milliseconds and MiB. */
function shown({ name, undisturbed, honest, attack, memory, cpu, harm }: Outcome): object {
  const all = Object.values(attack);
  const sum = (of: (figures: Figures) => number): number =>
    Math.round(all.reduce((total, each) => total + of(each), 0));
  return {
    attack: name,
    "units/s": sum(({ units, elapsed }) => (units * 1000) / elapsed),
    "connections/s": sum(({ made, elapsed }) => (made * 1000) / elapsed),
    ended: sum(({ ended }) => ended),
    failed: `${honest.standing.failed}/${honest.standing.offered}`,
    p99: `${undisturbed.standing.p99} -> ${honest.standing.p99}`,
    "new failed": `${honest.fresh.failed}/${honest.fresh.offered}`,
    "new p99": `${undisturbed.fresh.p99} -> ${honest.fresh.p99}`,
    MiB: `${memory.before}, ${memory.peak}, ${memory.after}`,
    cpu: `${Math.round(cpu * 100)}%`,
    reasons: JSON.stringify(honest.standing.reasons),
    "new reasons": JSON.stringify(honest.fresh.reasons),
    harm: harm.join(" ") || "none",
  };
}

/** The attack on a sidecar without the limit. */
async function control(
  row: Row,
  { lift, openFiles, handshakes, attacks }: Control,
  form: Form,
  say: LongRun["say"],
): Promise<Outcome> {
  const limits = { ...form.limits, ...lift };
  const scene = await startScene(
    row.mode,
    { lift: limits, openFiles, handshakes: { ...form.handshakes, ...handshakes } },
    form.doomed,
  );
  // How much worse it becomes is not the question, nor what is left of it.
  const attack = attackOne(scene, row, { ...form, calm: Math.min(form.calm, 1000), after: 0 }, 0, attacks);
  const outcome = await attack.catch(async (error: unknown) => {
    await scene.end();
    throw error;
  });
  if ((await scene.end()) > 0) outcome.harm.push("reached");
  say(`without ${JSON.stringify({ ...lift, ...handshakes })}: ${JSON.stringify(shown(outcome))}`);
  return outcome;
}

/** For people: `ONLY=PING node test/long/attacks.ts` runs the rows with that in their name; they are no result of the whole. */
const only = process.env.ONLY ?? "";

withDescriptors(20_000);
await runLong(only === "" ? "attacks" : "attacks-part", async (run) => {
  const { say } = run;
  const form = run.short ? short : full;
  const chosen = rows.filter(({ name }) => name.includes(only));
  const { calls, connections } = form.rates;
  say(`honest: ${calls} calls a second, ${connections} new connections a second, ${form.deadline} ms for each`);
  const outcomes: Outcome[] = [];
  const missed: string[] = [];
  for (const mode of ["disabled", "strict", "http1"] as const) {
    const ofMode = chosen.filter((row) => row.mode === mode);
    if (ofMode.length === 0) continue;
    const scene = await startScene(mode, { lift: form.limits, handshakes: form.handshakes }, form.deadline);
    for (const row of ofMode) {
      // The others are to be seen whatever becomes of one.
      await attackOne(scene, row, form).then(
        (outcome) => {
          say(JSON.stringify(shown(outcome)));
          outcomes.push(outcome);
        },
        (error: unknown) => missed.push(`${row.name} could not be tried: ${String(error)}`),
      );
    }
    const reached = await scene.end();
    if (reached > 0) missed.push(`${reached} requests have reached the application that nobody may see (${mode})`);
  }
  const controls: (Outcome & { readonly due: readonly Damage[] })[] = [];
  for (const row of chosen)
    for (const one of row.control === undefined ? [] : [row.control]) {
      const due = run.short ? one.short : one.damage;
      if (due === undefined) continue;
      try {
        controls.push({ ...(await control(row, one, form, say)), due: [due].flat() });
      } catch (error) {
        missed.push(`${row.name} without the limit could not be tried: ${String(error)}`);
      }
    }
  console.table(outcomes.map(shown));
  console.table(controls.map((one) => ({ ...shown(one), due: one.due.join() })));
  for (const { name, harm } of outcomes) if (harm.length > 0) missed.push(`${name} does harm: ${harm.join()}`);
  for (const { name, harm, due } of controls)
    if (![...due, "died" as const].some((one) => harm.includes(one)))
      missed.push(`${name} without the limit does no harm: it was too weak`);
  for (const what of missed) say(what);
  return {
    form,
    missed,
    outcomes: outcomes.map(shown),
    controls: controls.map((one) => ({ ...shown(one), due: one.due })),
  };
});
