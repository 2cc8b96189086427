// Attackers in a process of their own: node attacker.ts '{"address": ..., "attacks": {NAME: PLACES}, "milliseconds": ...}'.
// Prints "attacking" once they have begun, and what became of each at the end.
import { setPriority } from "node:os";
import { attacks } from "./attacks.ts";
import { type Figures, Front } from "./front.ts";

export interface AttackerOptions {
  readonly address: string;
  /** How many connections each attack has at a time. */
  readonly attacks: Readonly<Record<string, number>>;
  readonly milliseconds: number;
  /** Milliseconds more until a connection has been ended in so many places of each attack. */
  readonly patience: number;
  readonly due: number;
}

const options: AttackerOptions = JSON.parse(process.argv[2] ?? "{}");
// Whoever measures is on the same processor, and is not what is attacked.
setPriority(10);
console.log("attacking");
const results = await Promise.all(
  Object.entries(options.attacks).map(async ([name, places]): Promise<[string, Figures]> => {
    const attack = attacks[name];
    if (attack === undefined) throw new Error(`there is no attack ${name}`);
    const { address, milliseconds, patience, due } = options;
    const front = new Front(address, places, milliseconds, patience, due);
    await attack(front);
    return [name, front.result()];
  }),
);
console.log(`figures ${JSON.stringify(Object.fromEntries(results))}`);
process.exit(0);
