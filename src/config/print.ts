import { formatIssues } from "./format-issues.ts";
import { type Path, pointer } from "./issue.ts";
import { type LoadOptions, loadConfig } from "./load.ts";
import type { Origin, Reading } from "./reading.ts";
import { redact } from "./redact.ts";
import type { Plain } from "./schema/type.ts";
import { yamlScalar } from "./yaml-scalar.ts";

/** What a command has to say on standard output, and whether the file was good. */
export interface CommandResult {
  readonly ok: boolean;
  /** Ends with a line break. */
  readonly output: string;
}

/**
 * The effective configuration, each value with where it comes from: `default`, `FILE:LINE:COLUMN` or `env NAME`. As YAML
 * it can be read again, but for secrets, which are `***`; as JSON it is `{config, origins}`, origins by JSON Pointer.
 */
export function printConfig(text: string, options: LoadOptions & { readonly json: boolean }): CommandResult {
  const result = loadConfig(text, options);
  if (!result.ok) {
    const { issues } = result;
    const output = options.json ? `${JSON.stringify(issues, null, 2)}\n` : formatIssues(issues, options.file, text);
    return { ok: false, output };
  }
  const config = redact(result.config);
  const lines: Line[] = [];
  const origins: Record<string, string> = {};
  for (const line of linesOf(config, [], result.reading)) {
    lines.push(line);
    if (line.from !== undefined) origins[pointer(line.path)] = line.from;
  }
  return { ok: true, output: options.json ? `${JSON.stringify({ config, origins }, null, 2)}\n` : align(lines) };
}

interface Line {
  readonly path: Path;
  readonly text: string;
  readonly from: string | undefined;
}

function linesOf(value: Plain, path: Path, reading: Reading): readonly Line[] {
  if (!isMapping(value)) return [];
  return Object.entries(value).flatMap(([key, content]) => {
    const here = [...path, key];
    const start = `${"  ".repeat(path.length)}${yamlScalar(key)}:`;
    if (isMapping(content) && Object.keys(content).length > 0) {
      return [{ path: here, text: start, from: undefined }, ...linesOf(content, here, reading)];
    }
    return [{ path: here, text: `${start} ${flow(content)}`, from: describe(reading.origin(here), reading) }];
  });
}

function flow(value: Plain): string {
  if (isList(value)) return `[${value.map(flow).join(", ")}]`;
  if (isMapping(value)) {
    const entries = Object.entries(value).map(([key, content]) => `${yamlScalar(key)}: ${flow(content)}`);
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
  }
  // What was a literal ${ has to be one again when the output is read.
  return yamlScalar(typeof value === "string" ? value.replaceAll("${", () => "$${") : value);
}

function isMapping(value: Plain): value is { readonly [key: string]: Plain } {
  return typeof value === "object" && value !== null && !isList(value);
}

function isList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value);
}

function describe(origin: Origin, reading: Reading): string {
  switch (origin.kind) {
    case "default":
      return origin.of === undefined ? "default" : `default, from ${origin.of}`;
    case "env":
      return `env ${origin.name}`;
    case "file": {
      const place = reading.source.label(origin.start);
      return origin.names.length === 0 ? place : `${place}, env ${origin.names.join(", ")}`;
    }
  }
}

/** Comments in one column; a long line keeps its own behind it. */
function align(lines: readonly Line[]): string {
  const width = Math.max(
    0,
    ...lines.filter(({ from }) => from !== undefined).map(({ text }) => Math.min(text.length, 48)),
  );
  return lines.map(({ text, from }) => `${from === undefined ? text : `${text.padEnd(width)}  # ${from}`}\n`).join("");
}
