import { formatAddress } from "../core/address.ts";
import { isLoopback } from "../discovery/bad-endpoint.ts";
import { check } from "./check.ts";
import { hideInWords } from "./hide-secrets.ts";
import type { Issue } from "./issue.ts";
import { parseYaml } from "./parse-yaml.ts";
import { Reading } from "./reading.ts";
import { resolve } from "./resolve.ts";
import { schema } from "./schema.ts";
import { SourceText } from "./source-text.ts";
import type { Config } from "./types.ts";
import { vocabulary } from "./vocabulary.ts";

/** What the text of a configuration is read with. */
export interface LoadOptions {
  /** How messages name the file. */
  readonly file: string;
  /** The variables that `${NAME}` stands for. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A configuration, or every mistake in it. */
export type LoadResult =
  | {
      readonly ok: true;
      readonly config: Config;
      /** What works but is probably not wanted. */
      readonly warnings: readonly Issue[];
      /** Where each value stands and comes from. */
      readonly reading: Reading;
    }
  | { readonly ok: false; readonly issues: readonly Issue[] };

/** Reads a configuration file. All of its mistakes are reported at once; it never throws. */
export function loadConfig(text: string, { file, env }: LoadOptions): LoadResult {
  const reading = new Reading(new SourceText(file, text), vocabulary);
  const tree = parseYaml(reading.source, env, (start, path, problem) => reading.report(start, path, problem));
  const read = tree && schema.read(tree, { path: [], pattern: "" }, reading);
  if (read !== undefined) check(read, env, reading);
  if (read === undefined || reading.issues.length > 0) return { ok: false, issues: hideInWords(reading.issues, text) };
  const config = resolve(read, env, reading);
  return { ok: true, config, warnings: warningsOf(config, reading), reading };
}

/** Risks that the file takes knowingly or not. */
function warningsOf(config: Config, reading: Reading): readonly Issue[] {
  const { admin } = config.listeners;
  if (admin.kind === "tcp" && !isLoopback(admin.host) && config.admin.tls === undefined) {
    reading.reportValue(["listeners", "admin"], {
      code: "risk",
      message: `whoever is on the way to ${formatAddress(admin)} can read the token of admin, and use it`,
      expected: "admin.tls beside it, or a network on which nobody else is",
    });
  }
  return reading.issues;
}
