import { formatPath, type IssueCode } from "../issue.ts";
import type { Reading } from "../reading.ts";
import { describeTree, isNothing, type ScalarTree, type Tree } from "../tree.ts";
import type { Place } from "./type.ts";

/** How a kind of scalar is spoken of in messages and docs. */
export interface ScalarWords {
  readonly noun: string;
  readonly label: string;
  /** What the file has is then never shown. */
  readonly secret: boolean;
}

/** A scalar on its way through its type, and the ways to refuse it. */
class ScalarReading {
  readonly scalar: ScalarTree;
  private readonly place: Place;
  private readonly reading: Reading;
  private readonly words: ScalarWords;

  constructor(scalar: ScalarTree, place: Place, reading: Reading, words: ScalarWords) {
    this.scalar = scalar;
    this.place = place;
    this.reading = reading;
    this.words = words;
  }

  /** Not what the type can read at all, such as a number where a string belongs. */
  wrongType(suggestion?: string, expected = this.words.label): undefined {
    const { secret, noun } = this.words;
    const what = secret ? "not a string" : `${describeTree(this.scalar)}, not ${noun}`;
    return this.report(
      "wrong-type",
      `${formatPath(this.place.path)} is ${what}`,
      secret ? undefined : suggestion,
      expected,
    );
  }

  /** Of the right type, but impossible. The reason for a secret must not hold it. */
  invalid(reason: string, suggestion?: string): undefined {
    return this.report("invalid-value", `${formatPath(this.place.path)}: ${reason}`, suggestion);
  }

  /** Whether the contract has this word while the feature behind it is not built; then that is reported. */
  isComing(word: string): boolean {
    if (!this.reading.vocabulary.wordIsComing(this.place.pattern, word)) return false;
    const message = `${formatPath(this.place.path)}: ${word} is not yet supported`;
    this.report("not-yet-supported", message, undefined);
    return true;
  }

  private report(
    code: IssueCode,
    message: string,
    suggestion: string | undefined,
    expected = this.words.label,
  ): undefined {
    const names = this.scalar.substitution?.names ?? [];
    const from = names.length === 0 ? "" : `, from the environment variable ${names.join(" and ")}`;
    this.reading.report(this.scalar.start, this.place.path, { code, message: message + from, expected, suggestion });
    return undefined;
  }
}

/** Undefined: no scalar with content; that is reported. */
export function openScalar(tree: Tree, place: Place, reading: Reading, words: ScalarWords): ScalarReading | undefined {
  if (tree.kind === "broken") return undefined;
  if (tree.kind !== "scalar") {
    const message = `${formatPath(place.path)} is ${describeTree(tree)}, not ${words.noun}`;
    reading.report(tree.start, place.path, { code: "wrong-type", message, expected: words.label });
    return undefined;
  }
  const opened = new ScalarReading(tree, place, reading, words);
  if (isNothing(tree) || tree.value === null) return opened.wrongType();
  if (tree.substitution !== undefined) reading.substituted(place.path, tree.substitution);
  return opened;
}
