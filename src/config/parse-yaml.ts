import { parseDocument, type YAMLError } from "yaml";
import type { SourceText } from "./source-text.ts";
import type { Tree } from "./tree.ts";
import { type Report, TreeBuilder } from "./tree-builder.ts";
import { explainYamlError, isLocal } from "./yaml-errors.ts";

/** A configuration beyond this is a mistake, and reading it would block the process. */
const longestText = 1_048_576;

/**
 * Reads YAML 1.2 into a tree and substitutes variables in its string scalars. Undefined: the syntax is such that nothing
 * more can be said about the content. Never throws.
 */
export function parseYaml(
  source: SourceText,
  env: Readonly<Record<string, string | undefined>>,
  report: Report,
): Tree | undefined {
  const { text } = source;
  if (text.length > longestText) {
    report(0, [], { code: "structure", message: "the file is larger than 1 MiB", expected: "a configuration" });
    return undefined;
  }
  const zero = text.indexOf("\0");
  if (zero >= 0) {
    // What Windows calls Unicode has one with each letter.
    report(zero, [], { code: "structure", message: "an octet of zero: this is no text in UTF-8", expected: "UTF-8" });
    return undefined;
  }
  const directive = /^%YAML[ \t]+(?!1\.2\b).*$/m.exec(text);
  if (directive !== null) {
    const message = "this is not YAML 1.2, other versions read words such as yes and off as booleans";
    report(directive.index, [], { code: "structure", message, expected: "%YAML 1.2, or no such line" });
    return undefined;
  }
  const document = parseDocument(text, {
    prettyErrors: false,
    uniqueKeys: false,
    intAsBigInt: true,
  });
  const errors = [...document.errors, ...document.warnings].toSorted((a, b) => a.pos[0] - b.pos[0]);
  reportErrors(source, errors, report);
  if (errors.some((error) => !isLocal(error.code))) return undefined;
  const broken = errors.map((error) => spoilt(error, text));
  return new TreeBuilder(source, env, report, broken).root(document.contents);
}

/** The offset of the scalar that an error spoils: of an unknown tag it is what follows. */
function spoilt({ code, pos: [start, end] }: YAMLError, text: string): number {
  if (code !== "TAG_RESOLVE_FAILED") return start;
  return end + (/^\s*/.exec(text.slice(end))?.[0].length ?? 0);
}

/** One mistake in the syntax tends to make several errors on its line: the first one is the one to read. */
function reportErrors(source: SourceText, errors: readonly YAMLError[], report: Report): void {
  const lines = new Set<number>();
  for (const error of errors) {
    // Of a line that is indented too deep the parser says two things; the other one says it better.
    const twice =
      error.code === "MULTILINE_IMPLICIT_KEY" &&
      errors.some((other) => other.code === "BLOCK_AS_IMPLICIT_KEY" && other.pos[0] === error.pos[0]);
    if (twice) continue;
    const { start, problem } = explainYamlError(error, source.text);
    const { line } = source.position(start);
    if (lines.has(line)) continue;
    lines.add(line);
    report(start, [], problem);
  }
}
