import { type Parsed, parsed, quote, refused } from "./parsed.ts";
import { openScalar } from "./scalar-reading.ts";
import type { JsonSchema, Plain, Type } from "./type.ts";

/** What a type of values that are written as texts needs. */
export interface TextOptions<T> {
  readonly noun: string;
  readonly label: string;
  /** A regular expression for the JSON Schema; it may be laxer than `parse`. */
  readonly pattern?: string;
  parse(text: string): Parsed<T>;
  write(value: T): Plain;
  /** What a number, without a unit or quotes, was probably meant to be. */
  fromNumber?(written: string): string | undefined;
}

/** A value that is written as a string: names, addresses, and everything with a unit. */
export function text<T extends {}>(options: TextOptions<T>): Type<T> {
  const { noun, label, pattern } = options;
  const words = { noun, label, secret: false };
  return {
    noun,
    label,
    shape: { kind: "scalar", words: [], secret: false },
    read(tree, place, reading) {
      const opened = openScalar(tree, place, reading, words);
      if (opened === undefined) return undefined;
      const { value, written } = opened.scalar;
      if (typeof value !== "string") {
        return opened.wrongType(typeof value === "boolean" ? undefined : options.fromNumber?.(written));
      }
      const result = options.parse(value);
      return result.kind === "value" ? result.value : opened.invalid(result.message, result.suggestion);
    },
    write: (value) => options.write(value),
    jsonSchema: () => stringSchema(pattern),
  };
}

/** A string of visible characters, not empty. */
export function string(noun: string, examples = ""): Type<string> {
  return text({
    noun,
    label: `${noun}${examples}`,
    parse: parseString,
    write: (value) => value,
    fromNumber: (written) => `"${written}"`,
  });
}

/** A string that is never shown again: not in messages, not when the configuration is printed. A field's value may have spaces. */
export function secret(noun: string, kind: "token" | "field" = "token"): Type<string> {
  const form = kind === "token" ? /^[\x21-\x7e]+$/ : /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;
  const words = { noun, label: `${noun}, a string`, secret: true };
  return {
    noun,
    label: words.label,
    shape: { kind: "scalar", words: [], secret: true },
    read(tree, place, reading) {
      const opened = openScalar(tree, place, reading, words);
      if (opened === undefined) return undefined;
      const { value } = opened.scalar;
      if (typeof value !== "string") return opened.wrongType();
      if (value === "") return opened.invalid("this is empty");
      return form.test(value) ? value : opened.invalid(`it has a space or another character in it that no ${kind} has`);
    },
    write: () => "***",
    jsonSchema: () => ({ type: "string" }),
  };
}

function parseString(value: string): Parsed<string> {
  if (value === "") return refused("this is empty");
  if (/\p{Cc}/u.test(value)) return refused(`${quote(value)} has a line break or another control character in it`);
  return value.trim() === value ? parsed(value) : refused(`${quote(value)} has a space around it`, value.trim());
}

function stringSchema(pattern: string | undefined): JsonSchema {
  return pattern === undefined ? { type: "string" } : { type: "string", pattern: `(${pattern})|\\$\\{` };
}
