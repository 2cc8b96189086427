import { durationIn, field, listIn, numberIn, textIn } from "../../../core/json-field.ts";
import type { CompileRegex } from "../../../core/regex.ts";
import type { ChainMatch, ChainRetry, ChainRoute, FieldTest, Refuse, TextTest } from "./chain.ts";
import { noEdits, readEdits } from "./edits-reader.ts";

/** Matches every call. */
export const WHOLE_MATCH: ChainMatch = { path: undefined, headers: [], query: [], methods: [] };

/** What a retry may be made for that concerns calls of gRPC; of the rest nothing ever happens to one. */
const RETRY_ON = new Set([
  ...["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"],
  ...["5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "refused-stream"],
]);

/** A route of a router, without where it leads; undefined where it can match no call. */
export function readRouteDefinition(
  definition: unknown,
  regex: CompileRegex | undefined,
  refuse: Refuse,
): Omit<ChainRoute, "name" | "ways"> | undefined {
  const match = new MatchReader(regex, refuse).read(field(field(definition, "Match"), "HTTP"));
  if (match === undefined) return undefined;
  const destination = field(definition, "Destination");
  const timeout = durationIn(destination, "RequestTimeout");
  const idleTimeout = durationIn(destination, "IdleTimeout");
  const edits = (key: string) => readEdits(destination, key, (where, why) => refuse(`Destination.${where}`, why));
  const rewrite = textIn(destination, "PrefixRewrite");
  if (rewrite !== undefined && !/^\/[!-~]*$/.test(rewrite)) refuse("Destination.PrefixRewrite", "it is no path");
  return {
    match,
    rewrite: rewrite !== undefined && /^\/[!-~]*$/.test(rewrite) ? rewrite : undefined,
    // Consul: a negative one means that there is none.
    timeout: timeout !== undefined && timeout < 0 ? Number.POSITIVE_INFINITY : timeout,
    idleTimeout: idleTimeout !== undefined && idleTimeout < 0 ? Number.POSITIVE_INFINITY : idleTimeout,
    retry: readRetry(destination, refuse),
    request: destination === undefined ? noEdits : edits("RequestHeaders"),
    response: destination === undefined ? noEdits : edits("ResponseHeaders"),
  };
}

const KINDS = [
  ["Exact", "exact"],
  ["Prefix", "prefix"],
  ["Suffix", "suffix"],
  ["Contains", "contains"],
  ["Regex", "regex"],
] as const;

class MatchReader {
  private readonly regex: CompileRegex | undefined;
  private readonly refuse: Refuse;

  /** `regex`: undefined where nobody looks at them. */
  constructor(regex: CompileRegex | undefined, refuse: Refuse) {
    this.regex = regex;
    this.refuse = refuse;
  }

  /** undefined: a part of it cannot be told apart, and would take calls of others. */
  read(http: unknown): ChainMatch | undefined {
    if (typeof http !== "object" || http === null) return WHOLE_MATCH;
    const path = this.path(http);
    // Names of fields are the same in either case; HTTP/2 has them in lower case.
    const headers = this.fields(http, "Header")?.map((test) => ({ ...test, name: test.name.toLowerCase() }));
    const query = this.fields(http, "QueryParam");
    if (path === "bad" || headers === undefined || query === undefined) return undefined;
    return { path, headers, query, methods: listIn(http, "Methods").map((method) => String(method).toUpperCase()) };
  }

  private path(http: object): TextTest | "bad" | undefined {
    const ignoreCase = field(http, "CaseInsensitive") === true;
    for (const [word, kind] of KINDS) {
      const text = textIn(http, `Path${word}`);
      if (text === undefined) continue;
      const test: TextTest = { kind, text, ignoreCase };
      return this.isBad(test, `Match.HTTP.Path${word}`) ? "bad" : test;
    }
    return undefined;
  }

  private fields(http: object, key: string): FieldTest[] | undefined {
    const tests = listIn(http, key).map((test, at) => this.test(test, `Match.HTTP.${key}[${at}]`));
    const good = tests.filter((test) => test !== undefined);
    return good.length === tests.length ? good : undefined;
  }

  private test(written: unknown, where: string): FieldTest | undefined {
    const [word, kind] = KINDS.find(([key]) => textIn(written, key) !== undefined) ?? ["", "present"];
    if (kind === "present" && field(written, "Present") !== true) {
      this.refuse(where, "it says nothing that a value could be compared with; the route matches no call");
      return undefined;
    }
    const test: FieldTest = {
      name: textIn(written, "Name") ?? "",
      kind,
      text: textIn(written, word) ?? "",
      invert: field(written, "Invert") === true,
      ignoreCase: field(written, "IgnoreCase") === true,
    };
    return this.isBad(test, `${where}.${word}`) ? undefined : test;
  }

  private isBad({ kind, text }: TextTest, where: string): boolean {
    if (kind !== "regex" || this.regex === undefined || this.regex(text) !== undefined) return false;
    this.refuse(where, `${text} is no regular expression of RE2; the route matches no call`);
    return true;
  }
}

function readRetry(destination: unknown, refuse: Refuse): ChainRetry | undefined {
  const on = listIn(destination, "RetryOn").map(String);
  if (field(destination, "RetryOnConnectFailure") === true && !on.includes("connect-failure"))
    on.push("connect-failure");
  const statuses = listIn(destination, "RetryOnStatusCodes").filter((status) => typeof status === "number");
  const retries = numberIn(destination, "NumRetries");
  if (retries === undefined && on.length === 0 && statuses.length === 0) return undefined;
  for (const [at, word] of on.entries())
    if (!RETRY_ON.has(word))
      refuse(`Destination.RetryOn[${at}]`, `nothing of the kind of ${word} befalls a call of gRPC`);
  // Envoy makes one where nothing is said of their number.
  return { retries: retries ?? 1, on: on.filter((word) => RETRY_ON.has(word)), statuses };
}
