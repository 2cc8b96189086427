import { seededInteger } from "../support/random-integer.ts";
import { readCorpus } from "./corpus.ts";
import type { Coverage } from "./coverage.ts";
import { pick, type Random, type Target } from "./target.ts";

/** Inputs between two looks at the coverage: V8 goes through its whole heap for one. */
const BATCH = 100;
/** Inputs to try while a failing one is made smaller. */
const PATIENCE = 400;

/** What one input brings about that is worth telling from others: lines, and which line follows which. */
function traitsOf(lines: readonly string[]): string[] {
  return lines.flatMap((line, at) => [line, `${lines[at - 1] ?? "start"} > ${line}`]);
}

/** Makes inputs of inputs and keeps those that bring about something new. The same seed makes the same ones, without coverage. */
export class Fuzzer {
  readonly target: Target;
  private readonly random: Random;
  private readonly coverage: Coverage | undefined;
  /** Seeds, corpus, and what was found. */
  readonly inputs: Buffer[] = [];
  private readonly traits = new Set<string>();
  readonly blocks = new Set<string>();
  runs = 0;

  constructor(target: Target, seed: number, coverage?: Coverage) {
    this.target = target;
    this.random = seededInteger(seed);
    this.coverage = coverage;
  }

  /** Runs everything that is known. */
  async begin(): Promise<void> {
    for (const input of [...this.target.seeds(), ...readCorpus(this.target.name)]) {
      for (const trait of traitsOf(await this.run(input))) this.traits.add(trait);
      this.inputs.push(input);
    }
    for (const block of (await this.coverage?.take()) ?? []) this.blocks.add(block);
  }

  /** Tries new inputs for so long: each that fails throws. */
  async go(until: () => boolean): Promise<void> {
    while (!until()) {
      const batch = Array.from({ length: BATCH }, () =>
        this.target.mutate(pick(this.random, this.inputs), this.random, this.inputs),
      );
      for (const input of batch) if (this.isNew(traitsOf(await this.run(input)), this.traits)) this.inputs.push(input);
      if (this.coverage !== undefined) await this.keepThoseThatReach(await this.coverage.take(), this.coverage, batch);
    }
  }

  /** Which of a batch have reached a block for the first time is found out by running its halves again, and their halves. */
  private async keepThoseThatReach(
    reached: readonly string[],
    coverage: Coverage,
    batch: readonly Buffer[],
  ): Promise<void> {
    const fresh = new Set(reached.filter((block) => !this.blocks.has(block)));
    if (fresh.size === 0) return;
    for (const part of [batch.slice(0, batch.length / 2), batch.slice(batch.length / 2)]) {
      for (const input of part) await this.run(input);
      const some = await coverage.take();
      if (part.length > 1) {
        await this.keepThoseThatReach(some, coverage, part);
        continue;
      }
      const [input] = part;
      if (input !== undefined && this.isNew(some, this.blocks) && !this.inputs.includes(input)) this.inputs.push(input);
    }
    // A block that is reached in a whole batch and in no part of it is no input's.
    for (const block of fresh) this.blocks.add(block);
  }

  private isNew(found: readonly string[], known: Set<string>): boolean {
    const before = known.size;
    for (const one of found) known.add(one);
    return known.size > before;
  }

  /** The fewest inputs that reach all blocks and bring about all lines that any does. Needs coverage. */
  async fewest(): Promise<Buffer[]> {
    const reached = new Map<Buffer, Set<string>>();
    await this.coverage?.take();
    for (const input of this.inputs.toSorted((a, b) => a.length - b.length)) {
      const lines = await this.run(input);
      reached.set(input, new Set([...((await this.coverage?.take()) ?? []), ...lines]));
    }
    const left = new Set([...reached.values()].flatMap((all) => [...all]));
    const kept: Buffer[] = [];
    while (left.size > 0) {
      let [best, most]: [Buffer | undefined, number] = [undefined, 0];
      for (const [input, all] of reached) {
        let adds = 0;
        for (const one of all) if (left.has(one)) adds++;
        // A short one that adds a little is worth as much as a long one that adds more.
        const worth = adds / (20 + input.length);
        if (worth > most) [best, most] = [input, worth];
      }
      if (best === undefined) break;
      kept.push(best);
      for (const one of reached.get(best) ?? []) left.delete(one);
      reached.delete(best);
    }
    return kept;
  }

  private async run(input: Buffer): Promise<readonly string[]> {
    // What connections have left for the end of the turn.
    if (++this.runs % 8 === 0) await new Promise((resolve) => setImmediate(resolve));
    try {
      return await this.target.run(input);
    } catch (error) {
      const small = await this.smaller(input);
      throw new Error(`${this.target.name} fails with ${small.toString("hex")}`, { cause: error });
    }
  }

  /** Leaves out what an input does not need to fail. */
  private async smaller(input: Buffer): Promise<Buffer> {
    let best = input;
    let left = PATIENCE;
    for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let at = 0; at < best.length && left > 0; ) {
        const shorter = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
        left--;
        if (await this.fails(shorter)) best = shorter;
        else at += size;
      }
    }
    return best;
  }

  private async fails(input: Buffer): Promise<boolean> {
    try {
      await this.target.run(input);
      return false;
    } catch {
      return true;
    }
  }
}
