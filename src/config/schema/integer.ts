import { quote } from "./parsed.ts";
import { openScalar } from "./scalar-reading.ts";
import type { Type } from "./type.ts";

/** A whole number. Digits in quotes are a string, unless one variable gave them. */
export function integer({ min, max }: { readonly min: number; readonly max: number }): Type<number> {
  const noun = "a whole number";
  const label = `a whole number from ${min} to ${max}`;
  return {
    noun,
    label,
    shape: { kind: "scalar", words: [], secret: false },
    read(tree, place, reading) {
      const opened = openScalar(tree, place, reading, { noun, label, secret: false });
      if (opened === undefined) return undefined;
      const { written, substitution } = opened.scalar;
      let { value } = opened.scalar;
      if (typeof value === "string" && substitution?.whole === true) {
        if (!/^[+-]?[0-9]{1,15}$/.test(value)) return opened.invalid(`${quote(value)} is not a whole number`);
        value = Number(value);
      }
      if (typeof value === "string" || typeof value === "boolean" || value === null) {
        return opened.wrongType(undefined, /^[0-9]+$/.test(written) ? `${label}, without quotes` : label);
      }
      if (typeof value === "number" && !Number.isInteger(value))
        return opened.invalid(`${written} is not a whole number`);
      if (value < min) return opened.invalid(`${value} is below ${min}`);
      if (value > max) return opened.invalid(`${value} is above ${max}`);
      return Number(value);
    },
    write: (value) => value,
    jsonSchema: () => ({
      anyOf: [
        { type: "integer", minimum: min, maximum: max },
        { type: "string", pattern: "\\$\\{" },
      ],
    }),
  };
}
