/** Where a value stands in the configuration, from the root: keys of mappings and indexes of lists. */
export type Path = readonly (string | number)[];

/** What kind of mistake it is, for tools; people read the message. */
export type IssueCode =
  | "syntax"
  | "structure"
  | "substitution"
  | "duplicate-key"
  | "unknown-key"
  | "missing-key"
  | "not-yet-supported"
  | "wrong-type"
  | "invalid-value"
  | "conflict"
  | "no-effect"
  | "risk";

/** One thing that is wrong with a configuration file. Lines and columns count from 1, columns in characters. */
export interface Issue {
  readonly code: IssueCode;
  /** Empty where the file has no value there, as for a mistake in its syntax. */
  readonly path: Path;
  readonly line: number;
  readonly column: number;
  /** Lower case, without a full stop; never holds a secret. */
  readonly message: string;
  /** What may stand there. */
  readonly expected?: string | undefined;
  /** What was probably meant, as it would be written in the file. */
  readonly suggestion?: string | undefined;
}

/** An issue before its place in the text is known. */
export type Problem = Pick<Issue, "code" | "message" | "expected" | "suggestion">;

/** `upstreams.orders.endpoints[1]`, as messages name a value; the root has no name. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[A-Za-z0-9_-]+$/.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** The path as a JSON Pointer (RFC 6901), as tools and maps use it. */
export function pointer(path: Path): string {
  return path.map((step) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
