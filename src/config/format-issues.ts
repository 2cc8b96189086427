import type { Issue } from "./issue.ts";
import { schema } from "./schema.ts";
import { SourceText } from "./source-text.ts";
import { walkSchema } from "./walk.ts";

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
  const source = new SourceText(file, text);
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
  const characters = Array.from(maskSecrets(line), (character) =>
    /[^\P{Cc}\t]/u.test(character) ? "\u{FFFD}" : character,
  );
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

const secretKeys = walkSchema(schema)
  .filter(({ field: { type } }) => type.shape.kind === "scalar" && type.shape.secret)
  .map(({ key }) => key);

/** A secret under a misspelt key is one still. */
const anySecretKey = `${secretKeys.join("|")}|[\\w-]*(?:tok|secret|passw|credential)[\\w-]*(?<!File)`;

const secretValue = new RegExp(
  `((?:^|[\\s{,"'])(?:${anySecretKey})["']?\\s*:\\s+)("(?:[^"\\\\]|\\\\.)*"?|'[^']*'?|[^\\s,}]+)`,
  "gi",
);

/** By its letters, since a line with a mistake may have no structure: each character of a secret becomes a star. */
function maskSecrets(line: string): string {
  return line
    .replaceAll(secretValue, (whole, key: string, value: string) =>
      /^["']?\$\{\w+(:-)?\}["']?$/.test(value) ? whole : key + value.replaceAll(/[^"']/gu, "*"),
    )
    .replaceAll(
      /(:\/\/)([^/@\s]+)(?=@)/g,
      (_, start: string, user: string) => start + "*".repeat(Array.from(user).length),
    );
}
