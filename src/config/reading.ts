import { type Issue, type Path, type Problem, pointer } from "./issue.ts";
import type { SourceText } from "./source-text.ts";
import type { Substitution } from "./tree.ts";

/** Where a value of the effective configuration comes from. */
export type Origin =
  | { readonly kind: "default"; readonly of: string | undefined }
  | { readonly kind: "file"; readonly start: number; readonly names: readonly string[] }
  | { readonly kind: "env"; readonly name: string };

interface Spot {
  /** Offset of the key, or of the item in a list. */
  readonly key: number;
  /** Offset of the value. */
  readonly value: number;
}

/** What the contract has beyond the schema, and where its keys live: it makes messages about unknown words better. */
export interface Vocabulary {
  /** Whether a key (as `upstreams.*.retry`) is of the contract but not built yet. */
  keyIsComing(pattern: string): boolean;
  /** Whether a word of this key is. */
  wordIsComing(pattern: string, word: string): boolean;
  /** The keys that are coming below a pattern, as candidates for "did you mean". */
  comingKeys(pattern: string): readonly string[];
  /** Where else a key exists: `upstreams.NAME` for `timeout`. */
  homesOf(key: string): readonly string[];
}

/** Collects, while a tree is read by its schema, what is wrong and where each value stands and comes from. */
export class Reading {
  readonly source: SourceText;
  readonly vocabulary: Vocabulary;
  private readonly found: { readonly start: number; readonly issue: Issue }[] = [];
  private readonly spots = new Map<string, Spot>();
  private readonly origins = new Map<string, Origin>();

  constructor(source: SourceText, vocabulary: Vocabulary) {
    this.source = source;
    this.vocabulary = vocabulary;
  }

  /** All issues, in the order of the file. */
  get issues(): readonly Issue[] {
    return this.found.toSorted((a, b) => a.start - b.start).map(({ issue }) => issue);
  }

  /** Notes a problem at an offset of the source. */
  report(start: number, path: Path, problem: Problem): void {
    this.found.push({ start, issue: { ...problem, path, ...this.source.position(start) } });
  }

  /** Notes a problem with the value at a path, or with the nearest mapping around it that the file has. */
  reportValue(path: Path, problem: Problem): void {
    this.report(this.nearest(path)?.value ?? 0, path, problem);
  }

  /** The same at the value's key. */
  reportKey(path: Path, problem: Problem): void {
    this.report(this.nearest(path)?.key ?? 0, path, problem);
  }

  /** Remembers where a value stands; `schema` types call it for each value that they read. */
  place(path: Path, key: number, value: number): void {
    this.spots.set(pointer(path), { key, value });
  }

  /** Whether the file gives this value, rather than a default. */
  has(path: Path): boolean {
    return this.spots.has(pointer(path));
  }

  /** Remembers what a scalar was made of. */
  substituted(path: Path, substitution: Substitution): void {
    const [name, ...others] = substitution.names;
    if (name === undefined) return;
    const start = this.nearest(path)?.value ?? 0;
    const only = substitution.whole && others.length === 0;
    this.origins.set(pointer(path), only ? { kind: "env", name } : { kind: "file", start, names: substitution.names });
  }

  /** Says what a computed default was computed from. */
  derived(path: Path, of: string): void {
    this.origins.set(pointer(path), { kind: "default", of });
  }

  origin(path: Path): Origin {
    const spot = this.spots.get(pointer(path));
    const origin = this.origins.get(pointer(path));
    if (origin !== undefined) return origin;
    return spot === undefined ? { kind: "default", of: undefined } : { kind: "file", start: spot.value, names: [] };
  }

  private nearest(path: Path): Spot | undefined {
    for (let length = path.length; length >= 0; length--) {
      const spot = this.spots.get(pointer(path.slice(0, length)));
      if (spot !== undefined) return spot;
    }
    return undefined;
  }
}
