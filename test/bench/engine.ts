/**
 * The engine without sockets: a client and a server of it, and the outbound half of a sidecar between them, all in JavaScript
 * and in one thread. A call is five frames a hop: request head and message, response head, message and trailers.
 *
 *   node test/bench/engine.ts             microseconds a call, the best of many rounds
 *   node test/bench/engine.ts --counts    operations a call, as JSON: the same on every machine
 *   node test/bench/engine.ts --update    writes them to engine-baseline.json, which CI compares with
 */
import { writeFileSync } from "node:fs";
import { countOperations } from "./engine/counts.ts";
import { repeated, varying } from "./engine/metadata.ts";
import { direct, proxied, type World } from "./engine/world.ts";

const BATCH = 100;
const BATCHES = 50;
const ROUNDS = 60;

/** The best of some rounds: the machine's noise only ever adds. */
async function microseconds(world: World, lists: ReturnType<typeof repeated>[]): Promise<number> {
  let lowest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const begun = performance.now();
    for (const list of lists) await world.calls(list);
    lowest = Math.min(lowest, ((performance.now() - begun) * 1000) / (BATCH * BATCHES));
  }
  return lowest;
}

/** The same lists again and again would be known after the first round, so each round's are new ones. */
async function varyingMicroseconds(world: World): Promise<number> {
  let lowest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const lists = Array.from({ length: BATCHES }, (_, at) => varying(BATCH, round * BATCHES + at));
    const begun = performance.now();
    for (const list of lists) await world.calls(list);
    lowest = Math.min(lowest, ((performance.now() - begun) * 1000) / (BATCH * BATCHES));
  }
  return lowest;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

if (process.argv.includes("--counts")) {
  say(JSON.stringify(await countOperations(), null, 2));
} else if (process.argv.includes("--update")) {
  const counts = await countOperations();
  writeFileSync(new URL("engine-baseline.json", import.meta.url), `${JSON.stringify(counts, null, 2)}\n`);
} else {
  const same = Array.from({ length: BATCHES }, () => repeated(BATCH));
  const rows = {
    repeated: [await microseconds(direct(), same), await microseconds(proxied(), same)],
    varying: [await varyingMicroseconds(direct()), await varyingMicroseconds(proxied())],
  };
  say(
    `${"metadata".padEnd(12)}${"direct".padStart(10)}${"proxied".padStart(10)}${"the sidecar".padStart(14)}   µs a call`,
  );
  for (const [name, [without = 0, through = 0]] of Object.entries(rows)) {
    const cells = [without, through].map((value) => value.toFixed(2).padStart(10));
    say(`${name.padEnd(12)}${cells.join("")}${(through - without).toFixed(2).padStart(14)}`);
  }
}
process.exit(0);
