/**
 * What tracing costs a call: the engine's bench without it, with every trace left unrecorded, at 1 % and with every one recorded,
 * round about, so that what else the machine does falls on all. The collector is nobody.
 *
 *   node test/bench/tracing.ts
 */
import { repeated, varying } from "./engine/metadata.ts";
import { proxied } from "./engine/world.ts";

const BATCH = 100;
const BATCHES = 50;
const ROUNDS = 40;

const tracing = (sampling: string) => ({ tracing: { sampling, otlp: "http://127.0.0.1:1" } });
const worlds = {
  off: proxied(),
  "0 %": proxied(tracing("0%")),
  "1 %": proxied(tracing("1%")),
  "100 %": proxied(tracing("100%")),
};

for (const kind of ["begins here", "comes in unrecorded"] as const) {
  const costs = new Map<string, number[]>(Object.keys(worlds).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, world] of Object.entries(worlds)) {
      const lists = Array.from({ length: BATCHES }, (_, list) =>
        kind === "begins here" ? repeated(BATCH) : varying(BATCH, round * BATCHES + list).map(unrecorded),
      );
      const begun = process.cpuUsage();
      for (const list of lists) await world.calls(list);
      const { user, system } = process.cpuUsage(begun);
      costs.get(name)?.push((user + system) / (BATCH * BATCHES));
    }
  }
  for (const [name, values] of costs) {
    const sorted = values.toSorted((a, b) => a - b);
    process.stdout.write(
      `${kind.padEnd(21)}${name.padEnd(7)}lowest ${sorted[0]?.toFixed(2)}  median ${sorted[sorted.length >> 1]?.toFixed(2)} µs a call\n`,
    );
  }
}
process.exit(0);

function unrecorded(metadata: ReturnType<typeof varying>[number]): ReturnType<typeof varying>[number] {
  return metadata.map(([name, value]) => [name, name === "traceparent" ? value.replace(/01$/, "00") : value]);
}
