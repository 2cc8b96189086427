import assert from "node:assert/strict";
import { table } from "./table.ts";

/** A cell of the table: what an event brings about in a state. */
export interface Row {
  readonly state: string;
  readonly event: string;
  /** What is heard, word by word. "data?" stands for what may have been sent before. */
  readonly caller: readonly string[];
  readonly upstream: readonly string[];
  readonly next: string;
}

export const START = "waiting, open";
export const OVER = "over";

/** The table, and what it says can not happen. */
export interface Table {
  readonly rows: readonly Row[];
  /** By state. */
  readonly never: ReadonlyMap<string, ReadonlySet<string>>;
  readonly states: readonly string[];
  readonly events: readonly string[];
}

type Rule = { readonly kind: "never" | "as in"; readonly state: string; readonly events: readonly string[] };

const words = (cell: string): string[] => (cell === "-" ? [] : cell.split(/; */));

/** Reads the table, and sees to it that it says something of each event in each state, once. */
export function readTable(): Table {
  const rows: Row[] = [];
  const rules = new Map<string, Rule[]>();
  let state = "";
  for (const line of table.split("\n").filter((text) => text.trim() !== "")) {
    const text = line.trim();
    if (!line.startsWith(" ")) {
      state = text;
      rules.set(state, []);
      continue;
    }
    const rule = /^(never|as in)[, ]+(.*): (\*|(?:caller|upstream|we): .*)$/.exec(text);
    if (rule !== null) {
      const [, kind, what = "", events = ""] = rule;
      rules.get(state)?.push({ kind: kind === "never" ? "never" : "as in", state: what, events: events.split("; ") });
      continue;
    }
    const [event = "", caller = "", upstream = "", next = ""] = text.split("|").map((cell) => cell.trim());
    rows.push({ state, event, caller: words(caller), upstream: words(upstream), next });
  }
  return complete(rows, rules);
}

function complete(rows: Row[], rules: ReadonlyMap<string, readonly Rule[]>): Table {
  const states = [...rules.keys()];
  const events = [...new Set(rows.map(({ event }) => event))];
  const never = new Map(states.map((state) => [state, new Set<string>()]));
  const has = (state: string, event: string): boolean =>
    rows.some((row) => row.state === state && row.event === event) || never.get(state)?.has(event) === true;
  for (const state of states) {
    for (const rule of rules.get(state) ?? []) {
      for (const event of events) {
        if (has(state, event)) continue;
        if (!rule.events.some((one) => one === event || (one.endsWith("*") && event.startsWith(one.slice(0, -1)))))
          continue;
        if (rule.kind === "never") never.get(state)?.add(event);
        else copy(rows, never, rule.state, state, event);
      }
    }
    for (const event of events)
      assert.ok(has(state, event), `the table does not say what "${event}" does in "${state}"`);
  }
  const seen = new Set<string>();
  for (const row of rows) {
    const key = `${row.state} / ${row.event}`;
    assert.ok(!seen.has(key), `the table has "${key}" twice`);
    seen.add(key);
    assert.ok(row.next === OVER || states.includes(row.next), `"${row.next}" is no state`);
  }
  return { rows, never, states, events };
}

/** What holds in another state holds in this one; and where that one stays as it is, so does this one. */
function copy(rows: Row[], never: ReadonlyMap<string, Set<string>>, from: string, to: string, event: string): void {
  const row = rows.find((one) => one.state === from && one.event === event);
  if (row === undefined) never.get(to)?.add(event);
  else rows.push({ ...row, state: to, next: row.next === from ? to : row.next });
}
