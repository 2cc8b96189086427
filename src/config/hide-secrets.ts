import { type Document, isAlias, isMap, isNode, isScalar, isSeq, parseDocument } from "yaml";
import { closest } from "./closest.ts";
import type { Issue } from "./issue.ts";
import type { Fields, Type } from "./schema/type.ts";
import { schema } from "./schema.ts";
import { walkSchema } from "./walk.ts";

/**
 * The text of a file with a star for each character of its secrets, so that parts of it can be shown; lines and columns stay.
 * What is a secret says the schema, as far as the text is YAML, and beyond that what its key is called.
 */
export function hideSecrets(text: string): string {
  const hidden = text.length > LONGEST ? text : hideByPlace(text);
  return hidden.split("\n").map(hideByName).join("\n");
}

/** A longer file is not read, and nothing of it but its size is told. */
const LONGEST = 1_048_576;

/** What is told of the text itself, rather than of a value by those who know its type. */
const QUOTING: ReadonlySet<Issue["code"]> = new Set([
  "syntax",
  "structure",
  "substitution",
  "unknown-key",
  "duplicate-key",
]);

/** Issues whose words hold no part of a secret that stands in their line. */
export function hideInWords(issues: readonly Issue[], text: string): readonly Issue[] {
  if (!issues.some(({ code }) => QUOTING.has(code))) return issues;
  const lines = text.split("\n");
  const hidden = hideSecrets(text).split("\n");
  return issues.map((issue) => {
    if (!QUOTING.has(issue.code)) return issue;
    const secret = hiddenPart(lines[issue.line - 1] ?? "", hidden[issue.line - 1] ?? "");
    // What is quoted may be a part of it.
    const clean = (words: string): string =>
      words.replaceAll(/\w{4,}/g, (word) => (secret.includes(word) ? "***" : word));
    const { message, suggestion } = issue;
    return { ...issue, message: clean(message), suggestion: suggestion && clean(suggestion) };
  });
}

/** What of a line is hidden in the other, with spaces for the rest. */
function hiddenPart(line: string, hidden: string): string {
  let secret = "";
  for (let at = 0; at < line.length; at++) secret += hidden[at] === "*" ? line[at] : " ";
  return secret;
}

// --- by place ---

interface Where {
  readonly document: Document;
  /** The offset behind the colon of a key that ends at an offset. */
  readonly behindColon: (end: number) => number;
  /** Where a value that begins at an offset ends at the latest: with its line, or among others at a comma or bracket. */
  readonly end: (offset: number, amongOthers: boolean) => number;
  readonly add: (start: number, end: number) => void;
}

function hideByPlace(text: string): string {
  const document = parseDocument(text, { prettyErrors: false, uniqueKeys: false, logLevel: "silent" });
  const characters = text.split("");
  const add = (start: number, end: number): void => {
    if (VARIABLE.test(text.slice(start, end).trim())) return;
    for (let at = start; at < end; at++) if (!/["'\s]/.test(characters[at] ?? "")) characters[at] = "*";
  };
  const behindColon = (end: number): number => end + (/^\s*:/.exec(text.slice(end, end + 100))?.[0].length ?? 0);
  const end = (offset: number, amongOthers: boolean): number => {
    const length = text.slice(offset).search(amongOthers ? /[,}\n]/ : /\n/);
    return length < 0 ? text.length : offset + length;
  };
  collect(document.contents, schema, { document, behindColon, end, add }, 0);
  return characters.join("");
}

/** A variable without a default says nothing. */
const VARIABLE = /^["']?\$\{\w+(:-)?\}["']?$/;
const DEEPEST = 64;

/** Adds where the secrets are in a node that should be of `type`; undefined: nobody knows. */
function collect(node: unknown, type: Type<unknown> | undefined, where: Where, depth: number): void {
  if (!isNode(node) || type === undefined || depth > DEEPEST) return;
  const { shape } = type;
  if (isAlias(node)) {
    const target = node.resolve(where.document);
    if (shape.kind === "scalar" && shape.secret && target?.range != null) where.add(target.range[0], target.range[1]);
    else collect(target, type, where, depth + 1);
    return;
  }
  if (isSeq(node) && shape.kind === "list") for (const item of node.items) collect(item, shape.item, where, depth + 1);
  if (!isMap(node) || shape.kind === "list" || shape.kind === "scalar") return;
  for (const { key, value } of node.items) {
    const of = shape.kind === "record" ? shape.item : fieldOf(shape.fields, isScalar(key) ? String(key.value) : "");
    collect(value, of, where, depth + 1);
    // What stands where a secret should is one, in whatever form, with its tag or its mark.
    const isSecret = of?.shape.kind === "scalar" && of.shape.secret;
    if (!isSecret || !isNode(key) || !isNode(value) || key.range == null || value.range == null) continue;
    const start = where.behindColon(key.range[1]);
    // Where the parser has given up, what it did not understand is behind the value.
    where.add(start, Math.max(value.range[1], where.end(start, node.flow === true)));
  }
}

/** A secret under a misspelt key is one still. */
function fieldOf(fields: Fields, name: string): Type<unknown> | undefined {
  const meant = Object.hasOwn(fields, name) ? name : (closest(name, Object.keys(fields)) ?? "");
  return fields[meant]?.type;
}

// --- by name ---

const secretKeys = walkSchema(schema)
  .filter(({ field: { type } }) => type.shape.kind === "scalar" && type.shape.secret)
  .map(({ key }) => key);

// The section of this file is no header with a token.
const authorization = `(?!^)authorization|authorization(?!["']?\\s*:\\s+\\{)`;

const anySecretKey = `${secretKeys.join("|")}|${authorization}|[\\w-]*(?:tok|secret|passw|credential)[\\w-]*(?<!File)`;

const secretKey = new RegExp(`(?:^|[\\s{,"'])(?:${anySecretKey})["']?\\s*:\\s+`, "gi");

/** A value in the query of a URL, unless it is a variable. */
const inQuery = /([?&][\w.-]+=)(?!\$\{)([^&\s"'#]+)/g;

/** By its letters, since a line with a mistake may have no structure. */
function hideByName(line: string): string {
  let rest = line;
  let hidden = "";
  for (let match = secretKey.exec(rest); match !== null; match = secretKey.exec(rest)) {
    secretKey.lastIndex = 0;
    const start = match.index + match[0].length;
    const before = hidden + rest.slice(0, start);
    const value = valueAt(rest.slice(start), before.includes("{"));
    hidden = before + (VARIABLE.test(value) ? value : value.replaceAll(/[^"'\s]/gu, "*"));
    rest = rest.slice(start + value.length);
  }
  return (hidden + rest)
    .replaceAll(/(:\/\/)(.*)(?=@)/g, (_, start: string, user: string) => start + user.replaceAll(/[^\s]/gu, "*"))
    .replaceAll(/:\/\/[^\s"']+/g, (url) =>
      url.replaceAll(inQuery, (_, start: string, value: string) => start + "*".repeat(value.length)),
    );
}

/** A value that begins a text: in quotes, up to what ends it among others, or all of it. */
function valueAt(text: string, amongOthers: boolean): string {
  const quoted = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')/.exec(text)?.[0];
  if (quoted !== undefined) return quoted;
  return amongOthers && !/^["'[{]/.test(text) ? (/^[^,}]*/.exec(text)?.[0] ?? "") : text;
}
