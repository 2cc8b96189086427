import { closest } from "../closest.ts";
import { quote } from "./parsed.ts";
import { openScalar } from "./scalar-reading.ts";
import type { Type } from "./type.ts";

/** The words of a table of plug-ins: adding one there is enough. */
export function wordsOf<T extends object>(table: T): readonly (keyof T & string)[] {
  return Object.keys(table).filter((key): key is keyof T & string => Object.hasOwn(table, key));
}

/** One of a few words. */
export function words<const W extends string>(choices: readonly W[]): Type<W> {
  const label = choices.length === 1 ? `${choices[0]}` : `one of ${choices.join(", ")}`;
  return {
    noun: "a word",
    label,
    shape: { kind: "scalar", words: choices, secret: false },
    read(tree, place, reading) {
      const opened = openScalar(tree, place, reading, { noun: "a word", label, secret: false });
      if (opened === undefined) return undefined;
      const { value } = opened.scalar;
      if (typeof value !== "string") return opened.wrongType();
      const word = choices.find((choice) => choice === value);
      if (word !== undefined || opened.isComing(value)) return word;
      return opened.invalid(value === "" ? "this is empty" : `unknown word ${quote(value)}`, closest(value, choices));
    },
    write: (value) => value,
    jsonSchema: () => ({ anyOf: [{ enum: choices }, { type: "string", pattern: "\\$\\{" }] }),
  };
}
