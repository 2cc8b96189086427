import { seededRandom } from "./random.ts";

/** Integers from 0 to below the bound asked for, the same ones in every run. */
export function seededInteger(seed: number): (below: number) => number {
  const random = seededRandom(seed);
  return (below) => Math.floor(random() * below);
}
