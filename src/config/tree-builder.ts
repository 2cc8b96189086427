import { type Alias, isAlias, isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from "yaml";
import type { Path, Problem } from "./issue.ts";
import type { SourceText } from "./source-text.ts";
import { substitute } from "./substitute.ts";
import { isNothing, type MapEntry, type Tree } from "./tree.ts";

/** Takes what is wrong at an offset of the text, with the path of the key there. */
export type Report = (start: number, path: Path, problem: Problem) => void;

const deepest = 32;
/** What an alias stands for counts each time that it is used: that is what stops an alias bomb. */
const mostValues = 100_000;

/** Turns the nodes of the YAML parser into a tree: aliases followed, variables substituted, each key once. */
export class TreeBuilder {
  private readonly source: SourceText;
  private readonly env: Readonly<Record<string, string | undefined>>;
  private readonly report: Report;
  /** Offsets where the parser found a mistake that spoils the scalar there. */
  private readonly broken: readonly number[];

  private readonly anchors = new Map<string, Node>();
  private values = 0;
  /** The offset of the alias in the file's own text that is being followed. */
  private outermost: number | undefined;

  constructor(
    source: SourceText,
    env: Readonly<Record<string, string | undefined>>,
    report: Report,
    broken: readonly number[],
  ) {
    this.source = source;
    this.env = env;
    this.report = report;
    this.broken = broken;
  }

  /** An empty file is an empty mapping. */
  root(node: Node | null): Tree {
    const tree = this.node(node, [], []);
    return node === null || isNothing(tree) ? { kind: "map", start: 0, entries: [] } : tree;
  }

  private node(node: Node | null, path: Path, around: readonly Node[]): Tree {
    const start = node?.range?.[0] ?? 0;
    this.values++;
    if (this.values > mostValues) {
      if (this.values === mostValues + 1) this.tooMuch(start, path, `more than ${mostValues} values, counting aliases`);
      return { kind: "broken", start };
    }
    if (path.length > deepest) {
      this.tooMuch(start, path, `nested deeper than ${deepest} levels`);
      return { kind: "broken", start };
    }
    if (isAlias(node)) return this.alias(node, start, path, around);
    if (node !== null && node.anchor !== undefined) this.anchors.set(node.anchor, node);
    if (isMap(node)) return { kind: "map", start, entries: this.entries(node, start, path, around) };
    if (isSeq(node)) {
      const items = node.items.map((item, index) => this.node(asNode(item), [...path, index], [...around, node]));
      return { kind: "list", start, items };
    }
    return this.scalar(node, start, path);
  }

  private alias(alias: Alias, start: number, path: Path, around: readonly Node[]): Tree {
    const { source: anchor } = alias;
    const target = this.anchors.get(anchor);
    if (target !== undefined && !around.includes(target)) {
      const outermost = this.outermost === undefined;
      if (outermost) this.outermost = start;
      const tree = this.node(target, path, around);
      if (outermost) this.outermost = undefined;
      return tree;
    }
    if (this.isBroken(start, start + 1)) return { kind: "broken", start };
    const message = target === undefined ? `nothing before this is marked &${anchor}` : `*${anchor} contains itself`;
    this.report(start, path, { code: "structure", message, expected: "an alias of a value that ended before it" });
    return { kind: "broken", start };
  }

  private entries(map: YAMLMap, start: number, path: Path, around: readonly Node[]): readonly MapEntry[] {
    const entries = new Map<string, MapEntry>();
    for (const pair of map.items) {
      const keyStart = asNode(pair.key)?.range?.[0] ?? start;
      const key = keyOf(pair);
      if (key === undefined) {
        this.report(keyStart, path, { code: "structure", message: "this cannot be a key", expected: "KEY: VALUE" });
        continue;
      }
      const first = entries.get(key);
      if (first !== undefined) {
        const message = `duplicate key "${key}", first in line ${this.source.position(first.keyStart).line}`;
        this.report(keyStart, [...path, key], { code: "duplicate-key", message, expected: "each key once" });
        continue;
      }
      const value = this.node(asNode(pair.value), [...path, key], [...around, map]);
      // What is not written has no place of its own: messages point at its key.
      entries.set(key, { key, keyStart, value: isNothing(value) ? { ...value, start: keyStart } : value });
    }
    return [...entries.values()];
  }

  private scalar(node: Node | null, start: number, path: Path): Tree {
    const end = Math.max(node?.range?.[1] ?? start, start + 1);
    if (this.isBroken(start, end)) return { kind: "broken", start };
    const value: unknown = isScalar(node) ? node.value : null;
    const written = isScalar(node) ? (node.source ?? "") : "";
    if (typeof value === "string" && value.includes("${")) return this.substituted(value, start, end, path);
    return { kind: "scalar", start, value: plainValue(value), written, substitution: undefined };
  }

  private substituted(value: string, start: number, end: number, path: Path): Tree {
    const result = substitute(value, this.env);
    if (result.kind === "done") {
      const { text, substitution } = result;
      return { kind: "scalar", start, value: text, written: text, substitution };
    }
    const raw = this.source.text.slice(start, end);
    for (const { offset, message, expected, suggestion } of result.problems) {
      const at = start + offsetInSource(value, offset, raw);
      this.report(at, path, { code: "substitution", message, expected, suggestion });
    }
    return { kind: "broken", start };
  }

  private isBroken(start: number, end: number): boolean {
    return this.broken.some((at) => at >= start && at < end);
  }

  private tooMuch(start: number, path: Path, message: string): void {
    const shown = path.slice(0, 4);
    this.report(this.outermost ?? start, shown, { code: "structure", message, expected: "a smaller configuration" });
  }
}

/** The parser's types say `unknown` for the parts of a pair, where a parsed text always has a node or null. */
function asNode(value: unknown): Node | null {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value) ? value : null;
}

/** Keys are never substituted; a number or a boolean as a key stands for its letters. */
function keyOf(pair: Pair): string | undefined {
  const key = asNode(pair.key);
  if (!isScalar(key)) return undefined;
  if (typeof key.value === "string") return key.value;
  return key.source === undefined || key.source === "" ? undefined : key.source;
}

function plainValue(value: unknown): string | number | boolean | bigint | null {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;
}

/** Escapes and folding make a scalar differ from its text: the same `${`, counted from the start, is meant. */
function offsetInSource(value: string, offset: number, raw: string): number {
  if (raw.split("${").length !== value.split("${").length) return 0;
  let at = raw.indexOf("${");
  for (let before = value.slice(0, offset).split("${").length - 1; before > 0; before--) at = raw.indexOf("${", at + 2);
  return at;
}
