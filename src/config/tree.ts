/** A scalar as it is read by the type of its key, after substitution. Offsets are those of the source text. */
export interface ScalarTree {
  readonly kind: "scalar";
  readonly start: number;
  readonly value: string | number | boolean | bigint | null;
  /** As the file has it, without quotes: `1.10` stays `1.10`. */
  readonly written: string;
  readonly substitution: Substitution | undefined;
}

/** What substitution did to a scalar. */
export interface Substitution {
  /** The environment variables whose values stand in it now; defaults that were taken are not among them. */
  readonly names: readonly string[];
  /** The whole scalar was one `${...}`, so that it is read by its key's type. */
  readonly whole: boolean;
}

/** A list, with where it stands in the text. */
export interface ListTree {
  readonly kind: "list";
  readonly start: number;
  readonly items: readonly Tree[];
}

/** A mapping, with where it stands in the text. */
export interface MapTree {
  readonly kind: "map";
  readonly start: number;
  readonly entries: readonly MapEntry[];
}

/** A key and its value. */
export interface MapEntry {
  readonly key: string;
  readonly keyStart: number;
  readonly value: Tree;
}

/** A value whose mistake is already reported, so that its type says nothing more about it. */
export interface BrokenTree {
  readonly kind: "broken";
  readonly start: number;
}

/** The content of a file, free of YAML: aliases followed, variables substituted, each key once. */
export type Tree = ScalarTree | ListTree | MapTree | BrokenTree;

/** Substitution left nothing of the scalar: for an optional value the same as not being there. */
export function isEmptied(tree: Tree): boolean {
  return tree.kind === "scalar" && tree.value === "" && tree.substitution !== undefined;
}

/** Nothing was written, as after `upstreams:`. */
export function isNothing(tree: Tree): boolean {
  return tree.kind === "scalar" && tree.value === null && tree.written === "";
}

/** `the number 15006`, `a list`: what stands in the file, for messages. */
export function describeTree(tree: Tree): string {
  switch (tree.kind) {
    case "map":
      return "a mapping";
    case "list":
      return "a list";
    case "broken":
      return "nothing readable";
    case "scalar":
      if (isNothing(tree)) return "empty";
      if (tree.value === null) return "null";
      if (typeof tree.value === "string") return JSON.stringify(tree.value);
      return `the ${typeof tree.value === "boolean" ? "boolean" : "number"} ${tree.written}`;
  }
}
