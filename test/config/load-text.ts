import assert from "node:assert/strict";
import type { Issue } from "../../src/config/issue.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/types.ts";

export type Env = Readonly<Record<string, string | undefined>>;

/** The configuration that a text stands for; fails with the issues where it is refused. */
export function good(text: string, env: Env = {}): Config {
  const result = loadConfig(text, { file: "test.yaml", env });
  assert.ok(result.ok, JSON.stringify(result.ok ? [] : result.issues, null, 2));
  return result.config;
}

/** The issues of a text that is refused. */
export function bad(text: string, env: Env = {}): readonly Issue[] {
  const result = loadConfig(text, { file: "test.yaml", env });
  assert.ok(!result.ok, "this was to be refused");
  return result.issues;
}

/** `LINE:COLUMN message` of each issue. */
export function complaints(text: string, env: Env = {}): readonly string[] {
  return bad(text, env).map(({ line, column, message }) => `${line}:${column} ${message}`);
}
