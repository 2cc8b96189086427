import assert from "node:assert/strict";
import { after, test } from "node:test";
import { readCorpus } from "./corpus.ts";
import { Fuzzer } from "./fuzzer.ts";
import { mutateOctets } from "./mutate.ts";
import { targets } from "./targets.ts";

/** Inputs that are made of the corpus, the same ones in every run; how many is a matter of time. */
const MADE = 300;

for (const target of targets) {
  after(async () => await target.close?.());

  test(`every input that is kept for ${target.name} is read in one way, whole and in pieces`, async () => {
    const inputs = readCorpus(target.name);
    assert.ok(inputs.length > 5, `${inputs.length} inputs`);
    for (const input of inputs) {
      try {
        await target.run(input);
      } catch (error) {
        throw new Error(`${target.name} fails with ${input.toString("hex")}`, { cause: error });
      }
    }
  });

  test(`so are ${MADE} that are made of those for ${target.name}`, async () => {
    const fuzzer = new Fuzzer(target, 1);
    await fuzzer.begin();
    const known = fuzzer.runs;
    await fuzzer.go(() => fuzzer.runs - known >= MADE);
    assert.ok(fuzzer.inputs.length > 5);
  });
}

test("a target that reads in two ways is found out, and the input made small", async () => {
  const twoFaced = {
    name: "two-faced",
    seeds: () => [Buffer.from("some octets that do no harm")],
    mutate: mutateOctets,
    run(input: Buffer) {
      assert.ok(!input.includes(0x7f), "the octet that is read otherwise");
      return [`${input.length}`];
    },
  };
  const fuzzer = new Fuzzer(twoFaced, 1);
  await fuzzer.begin();
  await assert.rejects(
    fuzzer.go(() => fuzzer.runs > 100_000),
    /^Error: two-faced fails with 7f$/,
  );
});
