import { hideSecrets } from "./hide-secrets.ts";
import type { Issue } from "./issue.ts";
import { SourceText } from "./source-text.ts";

/** How much of a long line is shown around the mistake. */
const shownBefore = 60;
const shownInAll = 110;

/**
 * All issues for people: `FILE:LINE:COLUMN: message`, the line with a caret, what was expected, and what was probably
 * meant. Secrets in the line are blanked, and control characters, which a terminal might obey. `kind` goes before each
 * message.
 */
export function formatIssues(
  issues: readonly Issue[],
  file: string,
  text: string,
  kind: "" | "warning: " = "",
): string {
  const source = new SourceText(file, hideSecrets(text));
  return issues.map((issue) => formatIssue(issue, source, kind)).join("\n");
}

function formatIssue(issue: Issue, source: SourceText, kind: string): string {
  const { line, column, message, expected, suggestion } = issue;
  const lines = [`${source.file}:${line}:${column}: ${kind}${message}`, ...excerpt(source.line(line), column)];
  if (expected !== undefined) lines.push(`  expected ${expected}`);
  if (suggestion !== undefined)
    lines.push(`  did you mean ${suggestion.startsWith('"') ? suggestion : `"${suggestion}"`}?`);
  return `${lines.join("\n")}\n`;
}

function excerpt(line: string, column: number): readonly string[] {
  const characters = Array.from(line, (character) => (/[^\P{Cc}\t]/u.test(character) ? "\u{FFFD}" : character));
  const from = characters.length > shownInAll ? Math.max(0, column - 1 - shownBefore) : 0;
  const shown = characters.slice(from, from + shownInAll);
  const before = from > 0 ? "…" : "";
  const after = from + shownInAll < characters.length ? "…" : "";
  const padding = shown.slice(0, column - 1 - from).map((character) => blank(character));
  return [`    ${before}${shown.join("")}${after}`.trimEnd(), `    ${before === "" ? "" : " "}${padding.join("")}^`];
}

/** What takes as much room as a character: tabs stay, and East Asian characters and emoji are two columns wide. */
function blank(character: string): string {
  if (character === "\t") return "\t";
  return /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}]/u.test(
    character,
  )
    ? "  "
    : " ";
}
