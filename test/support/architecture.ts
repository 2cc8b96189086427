/** A source file: its path from the root of the clone, with slashes, and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** An import of a relative path, as it stands in a file. */
export interface Import {
  readonly from: string;
  /** The imported file's path from the root of the clone. */
  readonly to: string;
  /** Whether it is erased, and so no part of a cycle at run time. */
  readonly typeOnly: boolean;
}

/** No file has more lines. */
export const MAX_LINES = 500;

const BOTTOM = ["core"];
const HTTP = ["http", ...BOTTOM];
const FACTS = ["discovery", "net", "http2", "identity", "observability", ...HTTP];
const MIDDLE = ["filters", "limits", "routing", "cluster", ...FACTS];
const RUNTIME = ["config", "proxy", ...MIDDLE];
const FACES = ["control", "kubernetes", "runtime", ...RUNTIME];

/**
 * What each part of src/ may import besides itself: folders, or single files. A part is a folder, or the file that
 * stands for one (`cli` is src/cli.ts). Adding a folder to src/ means adding it here.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  main: ["cli", "workers", ...FACES],
  cli: ["commands", "core"],
  commands: ["run", "reload", "capture", ...FACES],
  run: ["reload", "workers", ...FACES],
  workers: FACES,
  reload: FACES,
  control: ["runtime", ...RUNTIME],
  capture: ["core"],
  kubernetes: ["core", "config", "identity/make-certificate.ts"],
  runtime: RUNTIME,
  config: MIDDLE,
  proxy: MIDDLE,
  filters: ["identity/spiffe.ts", "limits", "observability", ...HTTP],
  limits: ["observability", ...HTTP],
  routing: HTTP,
  cluster: FACTS,
  discovery: HTTP,
  net: HTTP,
  http2: HTTP,
  identity: ["net", ...HTTP],
  observability: HTTP,
  http: BOTTOM,
  core: ["../package.json"],
  launcher: [],
};

/** The relative imports and re-exports of a file, static and dynamic. */
export function importsOf(file: SourceFile): Import[] {
  const code = withoutComments(file.text);
  const found: Import[] = [];
  const add = (specifier: string | undefined, typeOnly: boolean) => {
    if (specifier?.startsWith(".")) found.push({ from: file.path, to: resolve(file.path, specifier), typeOnly });
  };
  const statements = /^[ \t]*(?:import|export)\s+(type\b(?!\s*(?:,|from\b)))?[^"'`;=()]*?\bfrom\s*["']([^"']+)["']/gm;
  for (const match of code.matchAll(statements)) add(match[2], match[1] !== undefined);
  for (const match of code.matchAll(/^[ \t]*import\s*["']([^"']+)["']/gm)) add(match[1], false);
  for (const match of code.matchAll(/(typeof\s+)?\bimport\s*\(\s*["']([^"']+)["']/g))
    add(match[2], match[1] !== undefined);
  return found;
}

/** Every import that the order of the layers does not allow, as a sentence. */
export function upwardEdges(files: readonly SourceFile[]): string[] {
  const problems: string[] = [];
  for (const file of files) {
    const part = partOf(file.path);
    const allowed = part === undefined ? undefined : MAY_IMPORT[part];
    if (part === undefined || allowed === undefined) {
      problems.push(`${file.path} is in no layer: add its folder to test/support/architecture.ts`);
      continue;
    }
    for (const { to } of importsOf(file)) {
      const target = partOf(to);
      if (target === part || (target !== undefined && allowed.includes(target))) continue;
      if (allowed.some((path) => resolve("src/x.ts", `./${path}`) === to)) continue;
      problems.push(`${file.path} imports ${to}, which is not below ${part}`);
    }
  }
  return problems;
}

/** Every file from which its own imports lead back to it, as one path for each cycle found; type imports do not count. */
export function cycles(files: readonly SourceFile[]): string[] {
  const edges = new Map(
    files.map((file) => [file.path, importsOf(file).flatMap(({ to, typeOnly }) => (typeOnly ? [] : [to]))]),
  );
  const problems: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: string[]) => {
    const start = trail.indexOf(path);
    if (start >= 0) problems.push([...trail.slice(start), path].join(" -> "));
    if (start >= 0 || done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const { path } of files) visit(path, []);
  return problems;
}

/** Every file that is longer than a file may be; generated ones (in a folder gen/) may. */
export function tooLong(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => !path.includes("/gen/"))
    .map(({ path, text }) => ({ path, lines: text.split("\n").length - (text.endsWith("\n") ? 1 : 0) }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(({ path, lines }) => `${path} has ${lines} lines, more than ${MAX_LINES}: it holds more than one concept`);
}

/** Readings of the time that lint cannot name: `new Date()` without an argument, outside the clock and entry points. */
export function ambientTime(files: readonly SourceFile[]): string[] {
  return files
    .filter(({ path }) => !["src/core/clock.ts", "src/main.ts", "src/cli.ts"].includes(path))
    .filter(({ text }) => /\bnew\s+Date\s*(?:\(\s*\)|;)/.test(withoutComments(text)))
    .map(({ path }) => `${path} reads the time by new Date(): take a Clock (core/clock.ts)`);
}

/** What is exported where it is declared, and has no docstring right above it. */
export function undocumented(files: readonly SourceFile[]): string[] {
  const declaration = /^export (?:default |async |abstract )*(?:function\*?|class|const|let|interface|type) (\w+)/;
  return files.flatMap(({ path, text }) => {
    const lines = text.split("\n");
    return lines.flatMap((line, at) => {
      const name = declaration.exec(line)?.[1];
      if (name === undefined || lines[at - 1]?.trimEnd().endsWith("*/") === true) return [];
      return [`${path}:${at + 1} exports ${name} without a docstring`];
    });
  });
}

/** `src/cluster/balancers/index.ts` is part of `cluster`; `src/cli.ts` is `cli`; what is outside src/ is no part. */
function partOf(path: string): string | undefined {
  return /^src\/([^/.]+)/.exec(path)?.[1];
}

function resolve(from: string, specifier: string): string {
  const segments = from.split("/").slice(0, -1);
  for (const segment of specifier.split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== ".") segments.push(segment);
  }
  return segments.join("/");
}

/** The text with comments blanked; strings stay, for they hold what is imported. */
function withoutComments(text: string): string {
  const tokens = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\/\*.*?\*\/|\/\/[^\n]*/gs;
  return text.replaceAll(tokens, (token) => (token.startsWith("/") ? " " : token));
}
