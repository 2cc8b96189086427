import { formatIssues } from "./format-issues.ts";
import { type LoadOptions, loadConfig } from "./load.ts";
import type { CommandResult } from "./print.ts";
import { summarize, summaryLines } from "./summary.ts";

/**
 * What `check` says: every issue with its position, or what was understood and what is risky. As JSON an array of
 * issues, or an object with `ok: true`.
 */
export function checkText(text: string, options: LoadOptions & { readonly json: boolean }): CommandResult {
  const { file, json } = options;
  const result = loadConfig(text, options);
  if (!result.ok) {
    const { issues } = result;
    return { ok: false, output: json ? `${JSON.stringify(issues, null, 2)}\n` : formatIssues(issues, file, text) };
  }
  const summary = summarize(result.config);
  if (json) return { ok: true, output: `${JSON.stringify({ ...summary, warnings: result.warnings }, null, 2)}\n` };
  const warnings = formatIssues(result.warnings, file, text, "warning: ");
  return { ok: true, output: `${warnings}${[`${file}: ok`, ...summaryLines(summary)].join("\n")}\n` };
}
