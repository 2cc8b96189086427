import type { CompileRegex } from "../../core/regex.ts";
import { remembered } from "../../core/remembered.ts";
import type { Call } from "../../http/call.ts";
import type { Head } from "../../http/headers.ts";
import { pathReadings } from "../path-readings.ts";
import type { HeaderCondition, Intention, Permission } from "./intention.ts";

/** Whether intentions have regular expressions. */
export function needsRegex(intentions: readonly Intention[]): boolean {
  return intentions.some(
    ({ does }) =>
      "permissions" in does &&
      does.permissions.some(
        ({ path, headers }) => path?.test === "regex" || headers.some(({ test }) => test === "regex"),
      ),
  );
}

/** Whether a permission is for a call, whatever token that has. */
export type MeansCall = (call: Call) => boolean;

/**
 * Compiles the conditions of a permission. What can be read in several ways is for a permission that denies as soon as one of
 * them is, and for one that allows only when all are.
 */
export function compilePermission(permission: Permission, regex: CompileRegex): MeansCall {
  const { action, path, methods, headers, isPartial } = permission;
  const isDeny = action === "deny";
  if (isPartial && !isDeny) return () => false;
  const readings = <T>(all: readonly T[], test: (reading: T) => boolean): boolean =>
    isDeny ? all.some(test) : all.every(test);
  const tests: MeansCall[] = [];
  if (methods.length > 0) tests.push((call) => methods.includes(call.head.get(":method") ?? ""));
  if (path !== undefined) {
    const test = textTest(path.test, path.text, false, regex) ?? (() => isDeny);
    const means = remembered((text) => readings(pathReadings(text), test));
    tests.push((call) => means(call.path));
  }
  for (const header of headers) {
    const test = header.test === "present" ? () => true : textTest(header.test, header.text, header.ignoreCase, regex);
    // Nobody knows what it is for.
    if (test === undefined) tests.push(() => isDeny);
    else tests.push((call) => meansHeader(header, valuesOf(call.head, header.name), test, readings));
  }
  return (call) => {
    for (const means of tests) if (!means(call)) return false;
    return true;
  };
}

/** As Envoy has it for Consul: a field that is not there is for no test of values, inverted or not. */
function meansHeader(
  { test: kind, invert }: HeaderCondition,
  values: readonly string[],
  test: (value: string) => boolean,
  readings: (all: readonly string[], test: (reading: string) => boolean) => boolean,
): boolean {
  if (kind === "present") return values.length > 0 !== invert;
  return values.length > 0 && readings(values, (value) => test(value) !== invert);
}

/** The values of a field: each, and all in one as Envoy sees them where there are several. */
function valuesOf(head: Head, name: string): readonly string[] {
  const values: string[] = [];
  for (const [field, value] of head.entries()) if (field === name) values.push(value);
  return values.length > 1 ? [...values, values.join(",")] : values;
}

function textTest(
  test: Exclude<HeaderCondition["test"], "present">,
  text: string,
  ignoreCase: boolean,
  regex: CompileRegex,
): ((value: string) => boolean) | undefined {
  if (test === "regex") return regex(text);
  const wanted = ignoreCase ? text.toLowerCase() : text;
  const plain = plainTests[test];
  return ignoreCase ? (value) => plain(value.toLowerCase(), wanted) : (value) => plain(value, wanted);
}

const plainTests = {
  exact: (value: string, wanted: string) => value === wanted,
  prefix: (value: string, wanted: string) => value.startsWith(wanted),
  suffix: (value: string, wanted: string) => value.endsWith(wanted),
  contains: (value: string, wanted: string) => value.includes(wanted),
};
