import type { YAMLError } from "yaml";
import type { Problem } from "./issue.ts";

/** Mistakes that spoil one scalar or add a document, while the structure around them can still be read. */
const local: ReadonlySet<string> = new Set([
  "BAD_ALIAS",
  "BAD_DQ_ESCAPE",
  "BAD_SCALAR_START",
  "MULTIPLE_DOCS",
  "TAG_RESOLVE_FAILED",
]);

/** Whether an error of the YAML parser leaves the rest of the file readable. */
export function isLocal(code: string): boolean {
  return local.has(code);
}

/** What an error of the YAML parser means to who wrote the file, and where the mistake is rather than where it was noticed. */
export function explainYamlError(error: YAMLError, text: string): { start: number; problem: Problem } {
  const start = Math.min(error.pos[0], text.length);
  const say = (message: string, expected: string, suggestion?: string, at = start) => ({
    start: at,
    problem: { code: "syntax" as const, message, expected, suggestion },
  });
  switch (error.code) {
    case "TAB_AS_INDENT":
      return say("a tab cannot indent", "spaces");
    case "BAD_INDENT":
      return badIndent(error, text, start, say);
    case "MULTIPLE_DOCS":
      return say("a second document", "one document a file", undefined, start);
    case "BLOCK_AS_IMPLICIT_KEY":
      return secondColon(text, start, say);
    case "MULTILINE_IMPLICIT_KEY":
      return multilineKey(text, start, say);
    case "MISSING_CHAR":
      return missingChar(error, text, start, say);
    case "BAD_SCALAR_START":
      return say(`a value cannot start with ${text[start] ?? ""}`, "the value in quotes");
    case "BAD_DQ_ESCAPE":
      return say(`${text.slice(start, start + 2)} is no escape`, "\\\\ for a backslash, or single quotes around it");
    case "BAD_ALIAS":
      return say("* starts an alias, and none is named", "the value in quotes", '"*"');
    case "TAG_RESOLVE_FAILED":
      return say(`unknown tag ${text.slice(start, error.pos[1])}`, "no tag, or one of YAML's own such as !!str");
    case "RESOURCE_EXHAUSTION":
      return say("nested too deep to be read", "a few levels", undefined, deepBracket(text));
    case "UNEXPECTED_TOKEN":
      return unexpected(text, start, say);
    case "ALIAS_PROPS":
    case "BAD_COLLECTION_TYPE":
    case "BAD_DIRECTIVE":
    case "BAD_PROP_ORDER":
    case "BLOCK_IN_FLOW":
    case "DUPLICATE_KEY":
    case "IMPOSSIBLE":
    case "KEY_OVER_1024_CHARS":
    case "MULTIPLE_ANCHORS":
    case "MULTIPLE_TAGS":
    case "NON_STRING_KEY":
      return say(plain(error.message), "YAML 1.2");
  }
}

type Say = (message: string, expected: string, suggestion?: string, at?: number) => { start: number; problem: Problem };

function badIndent(error: YAMLError, text: string, start: number, say: Say): { start: number; problem: Problem } {
  const flow = /^Flow (map|sequence)/.exec(error.message);
  if (flow !== null) {
    const close = flow[1] === "map" ? "}" : "]";
    return say(`a missing ${close} before this`, `${close} at the end of what was opened above`);
  }
  // The parser points behind the line break; the reader looks for the first character of the line.
  const blank = /^[ \t\r\n]*/.exec(text.slice(start))?.[0].length ?? 0;
  const at = Math.min(start + blank, text.length);
  return say(
    "this line is indented differently from those beside it",
    "the same column for all keys of a mapping",
    undefined,
    at,
  );
}

function secondColon(text: string, start: number, say: Say): { start: number; problem: Problem } {
  const rest = /^[^\n]*/.exec(text.slice(start))?.[0] ?? "";
  if (/:(\s|$)/.test(rest)) return say('a second ": " in one value', "a value on a line of its own, or in quotes");
  const next = /^[^\n]*\n\s*/.exec(text.slice(start))?.[0].length ?? 0;
  const message = "this line is indented deeper than the one above, which has its value already";
  return say(message, "the same column for all keys of a mapping", undefined, start + next);
}

function multilineKey(text: string, start: number, say: Say): { start: number; problem: Problem } {
  const missing = /^([A-Za-z0-9_.-]+):(\S[^\n\r#]*)/.exec(text.slice(start));
  if (missing === null) return say("a key goes over several lines", "KEY: VALUE in one line");
  const [, key = "", value = ""] = missing;
  const suggestion = `${key}: ${value.trimEnd()}`;
  return say("a space is missing behind the colon", "KEY: VALUE", suggestion, start + key.length);
}

function missingChar(error: YAMLError, text: string, start: number, say: Say): { start: number; problem: Problem } {
  if (/quote/.test(error.message)) {
    const open = openQuote(text, start);
    return say("this quote is never closed", "a closing quote on the same line", undefined, open);
  }
  if (/space/i.test(error.message)) return say("a space is missing here", "KEY: VALUE");
  return say(plain(error.message), "YAML 1.2");
}

/** Where the unclosed quote began: the parser notices at the end of the text. */
function openQuote(text: string, end: number): number {
  let open: { readonly at: number; readonly quote: string } | undefined;
  for (let at = 0; at < end; at++) {
    const char = text[at];
    if (open !== undefined) {
      if (char === "\\" && open.quote === '"') at++;
      else if (char === open.quote) open = undefined;
    } else if (char === "#" && /\s|^$/.test(text[at - 1] ?? "")) {
      const lineEnd = text.indexOf("\n", at);
      if (lineEnd < 0) break;
      at = lineEnd;
    } else if ((char === '"' || char === "'") && /[\s[{,:]|^$/.test(text[at - 1] ?? "")) {
      open = { at, quote: char };
    }
  }
  return open?.at ?? end;
}

/** The parser gives up where its stack ends, which is not the same place each time: the hundredth open bracket is. */
function deepBracket(text: string): number {
  let depth = 0;
  for (const { 0: bracket, index } of text.matchAll(/[[\]{}]/g)) {
    depth += bracket === "[" || bracket === "{" ? 1 : -1;
    if (depth === 100) return index;
  }
  return 0;
}

function unexpected(text: string, start: number, say: Say): { start: number; problem: Problem } {
  if (text[start] === "{" && text[start - 1] === "$") {
    const whole = /^\$\{[^}]*\}/.exec(text.slice(start - 1))?.[0];
    const suggestion = whole === undefined ? undefined : `"${whole}"`;
    return say(`\${...} inside { } or [ ] stands in quotes`, "the value in quotes", suggestion, start - 1);
  }
  const line = text.slice(text.lastIndexOf("\n", start - 1) + 1, start);
  const v6 = /\[[0-9a-f:.]+\]$/i.exec(line);
  if (v6 !== null && text[start] === ":") {
    const port = /^:[0-9]*/.exec(text.slice(start))?.[0] ?? "";
    return say(
      "a value that starts with [ is a list",
      "an IPv6 address in quotes",
      `"${v6[0]}${port}"`,
      start - v6[0].length,
    );
  }
  const token = /^\S{1,20}/.exec(text.slice(start))?.[0] ?? "";
  const after = /(["'])$/.test(line)
    ? "nothing behind the closing quote, or the whole value in quotes"
    : "the end of the value";
  return say(token === "" ? "something is missing here" : `${JSON.stringify(token)} does not belong here`, after);
}

function plain(message: string): string {
  return message.slice(0, 1).toLowerCase() + message.slice(1).replace(/\.$/, "");
}
