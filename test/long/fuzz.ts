import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Coverage } from "../fuzz/coverage.ts";
import { Fuzzer } from "../fuzz/fuzzer.ts";
import { targets } from "../fuzz/targets.ts";
import { runLong } from "../support/results.ts";

/**
 * Fuzzes each target of test/fuzz/ for a time, guided by which blocks of src/ its inputs reach. An input that fails is printed in
 * hexadecimal, as small as it could be made, and belongs into test/fixtures/fuzz/NAME.txt. What is held may not go with the number
 * of inputs: that would be something which a connection leaves behind.
 */
const SLACK = 32 * 2 ** 20;

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** Octets that are held once everything that is not has been collected. */
function held(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

await runLong("fuzz", async ({ short, seed, say }) => {
  const milliseconds = short ? 3000 : 130_000;
  const coverage = await Coverage.start();
  const figures: Record<string, object> = {};
  for (const target of targets) {
    const fuzzer = new Fuzzer(target, seed, coverage);
    const begun = performance.now();
    try {
      await fuzzer.begin();
      const known = { inputs: fuzzer.inputs.length, blocks: fuzzer.blocks.size };
      await fuzzer.go(() => performance.now() - begun > milliseconds / 4);
      const before = held();
      await fuzzer.go(() => performance.now() - begun > milliseconds);
      const grown = held() - before;
      if (grown > SLACK) throw new Error(`${target.name}: ${grown} octets more are held`);
      figures[target.name] = {
        runs: fuzzer.runs,
        blocks: fuzzer.blocks.size,
        newBlocks: fuzzer.blocks.size - known.blocks,
        newInputs: fuzzer.inputs.length - known.inputs,
        grownMiB: Math.round(grown / 2 ** 20),
      };
      say(`${target.name} ${JSON.stringify(figures[target.name])}`);
    } finally {
      await target.close?.();
    }
  }
  coverage.stop();
  return figures;
});
