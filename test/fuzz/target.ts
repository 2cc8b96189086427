import assert from "node:assert/strict";

/** What is fuzzed: something that reads octets, and what has to be true of it whatever they are. */
export interface Target {
  readonly name: string;
  /** Inputs to begin with. */
  seeds(): Buffer[];
  /** Makes another input of one. `others` are known ones; `random(n)` is below n. */
  mutate(input: Buffer, random: Random, others: readonly Buffer[]): Buffer;
  /**
   * Reads an input in several ways. Throws where something is not as it has to be. Returns what happened, a line an event:
   * inputs that bring about what no other has are kept.
   */
  run(input: Buffer): readonly string[] | Promise<readonly string[]>;
  /** Frees what runs share. */
  close?(): Promise<void>;
}

export type Random = (below: number) => number;

export function pick<T>(random: Random, from: readonly T[]): T {
  const found = from[random(from.length)];
  assert.ok(found !== undefined, "something to pick from");
  return found;
}

/** The ways in which octets can come: whole, one by one, and cut at places that the octets themselves decide. */
export function cuts(input: Buffer): Buffer[][] {
  const ways = [[input], Array.from(input, (_, at) => input.subarray(at, at + 1))];
  // FNV-1a: the same input is cut at the same places in every run.
  let hash = 0x811c9dc5;
  for (const octet of input) hash = Math.imul(hash ^ octet, 0x01000193) >>> 0;
  for (const size of [7, 40]) {
    const pieces: Buffer[] = [];
    for (let at = 0; at < input.length; ) {
      hash = (Math.imul(hash, 0x19660d) + 0x3c6ef35f) >>> 0;
      const to = Math.min(input.length, at + 1 + ((hash >>> 8) % size));
      pieces.push(input.subarray(at, to));
      at = to;
    }
    ways.push(pieces);
  }
  return ways;
}

/** What kind of thing a line tells of, without the octets and the numbers in it. */
export function shape(line: string): string {
  return line
    .replace(/^data [\s\S]*/, "data")
    .replace(/"[\s\S]*"/, '""')
    .replace(/=[^;]*/g, "")
    .replace(/0x[0-9a-f]+/g, "0")
    .replace(/[0-9]+/g, "0");
}
