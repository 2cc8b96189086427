// Fuzzes by hand: node test/fuzz/fuzz.ts [--target NAME] [--seconds N, default 60] [--seed N, default 1] [--grow]
// --grow writes the corpus anew: the fewest inputs, of those that were known and those that were found, that together reach all
// that any has reached. An input that fails is printed as a line for it.
import { parseArgs } from "node:util";
import { writeCorpus } from "./corpus.ts";
import { Coverage } from "./coverage.ts";
import { Fuzzer } from "./fuzzer.ts";
import { targets } from "./targets.ts";

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    grow: { type: "boolean", default: false },
  },
});
const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target);
if (chosen.length === 0) throw new Error(`the targets are ${targets.map(({ name }) => name).join(", ")}`);
const coverage = await Coverage.start();
for (const target of chosen) {
  const fuzzer = new Fuzzer(target, Number(values.seed), coverage);
  const end = performance.now() + Number(values.seconds) * 1000;
  try {
    await fuzzer.begin();
    const known = fuzzer.inputs.length;
    await fuzzer.go(() => performance.now() > end);
    const found = fuzzer.inputs.length - known;
    console.log(`${target.name}: ${fuzzer.runs} inputs, ${fuzzer.blocks.size} blocks, ${found} inputs are new`);
    if (values.grow) {
      const fewest = await fuzzer.fewest();
      writeCorpus(target.name, fewest);
      console.log(`${target.name}: ${fewest.length} inputs are kept`);
    }
  } finally {
    await target.close?.();
  }
}
coverage.stop();
