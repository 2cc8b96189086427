import type { CompileRegex } from "../core/regex.ts";
import type { ChainMatch, FieldTest, TextTest } from "../discovery/consul/chain/chain.ts";
import type { Call } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { parameter, withoutQuery } from "../http/path-query.ts";

/** What a route of Consul's matches, as a function: as Envoy would, which obeys these routes elsewhere. */
export function compileChainMatch(
  { path, headers, query, methods }: ChainMatch,
  regex: CompileRegex,
): (call: Call) => boolean {
  const onPath = path && compileText(path, regex);
  const onHeaders = headers.map(({ name, ...test }) =>
    compileField(test, regex, (call) => wholeValue(call.head, name)),
  );
  const onQuery = query.map(({ name, ...test }) => compileField(test, regex, (call) => parameter(call.path, name)));
  const tests = [...onHeaders, ...onQuery];
  const wanted = new Set(methods);
  return (call) => {
    if (onPath !== undefined && !onPath(withoutQuery(call.path))) return false;
    if (wanted.size > 0 && !wanted.has(call.head.get(":method") ?? "")) return false;
    for (const test of tests) if (!test(call)) return false;
    return true;
  };
}

/** What is compared by its value is not matched by an absent one, inverted or not. */
function compileField(
  test: Omit<FieldTest, "name">,
  regex: CompileRegex,
  read: (call: Call) => string | undefined,
): (call: Call) => boolean {
  const { invert } = test;
  if (test.kind === "present") return (call) => (read(call) !== undefined) !== invert;
  const fits = compileText(test, regex);
  return (call) => {
    const value = read(call);
    return value !== undefined && fits(value) !== invert;
  };
}

function compileText({ kind, text, ignoreCase }: TextTest, regex: CompileRegex): (value: string) => boolean {
  // Whoever read the chain has refused what is none.
  if (kind === "regex") return regex(ignoreCase ? `(?i:${text})` : text) ?? (() => false);
  const wanted = ignoreCase ? text.toLowerCase() : text;
  const fits = plain(kind, wanted);
  return ignoreCase ? (value) => fits(value.toLowerCase()) : fits;
}

function plain(kind: Exclude<TextTest["kind"], "regex">, wanted: string): (value: string) => boolean {
  switch (kind) {
    case "exact":
      return (value) => value === wanted;
    case "prefix":
      return (value) => value.startsWith(wanted);
    case "suffix":
      return (value) => value.endsWith(wanted);
    case "contains":
      return (value) => value.includes(wanted);
    case "present":
      return () => true;
  }
}

/** The value of a field; those of several, with commas between them (RFC 9110 §5.3). */
function wholeValue(head: Head, name: string): string | undefined {
  let slot = 0;
  let value: string | undefined;
  for (const field of head.list.fields) {
    if (field.name === name) {
      const own = field.slot ? (head.values[slot] ?? "") : field.value;
      value = value === undefined ? own : `${value},${own}`;
    }
    if (field.slot) slot++;
  }
  return value;
}
