import type { ChainMatch, ChainRetry, ChainRoute, FieldTest, TextTest } from "./chain.ts";
import { noEdits, readEdits } from "./chain-edits-reader.ts";
import type { Refuse } from "./chain-reader.ts";
import { wholeRegExp } from "./chain-regex.ts";
import { durationIn, field, listIn, numberIn, textIn } from "./json-field.ts";

export const WHOLE_MATCH: ChainMatch = { path: undefined, headers: [], query: [], methods: [] };

/** What a retry may be made for that concerns calls of gRPC; of the rest nothing ever happens to one. */
const RETRY_ON = new Set([
  ...["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"],
  ...["5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "refused-stream"],
]);

/** A route of a router, without where it leads; undefined where it can match no call. */
export function readRouteDefinition(
  definition: unknown,
  refuse: Refuse,
): Omit<ChainRoute, "name" | "ways"> | undefined {
  const match = readMatch(field(field(definition, "Match"), "HTTP"), refuse);
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

function readMatch(http: unknown, refuse: Refuse): ChainMatch | undefined {
  if (typeof http !== "object" || http === null) return WHOLE_MATCH;
  const ignoreCase = field(http, "CaseInsensitive") === true;
  const tests = [
    ["PathExact", "exact"],
    ["PathPrefix", "prefix"],
    ["PathRegex", "regex"],
  ] as const;
  const found = tests.find(([key]) => textIn(http, key) !== undefined);
  const path: TextTest | undefined = found && { kind: found[1], text: textIn(http, found[0]) ?? "", ignoreCase };
  const fields = (key: string): (FieldTest | undefined)[] =>
    listIn(http, key).map((test, at) =>
      readTest(test, (where, why) => refuse(`Match.HTTP.${key}[${at}]${where}`, why)),
    );
  // Names of fields are the same in either case; HTTP/2 has them in lower case.
  const headers = fields("Header").map((test) => test && { ...test, name: test.name.toLowerCase() });
  const query = fields("QueryParam");
  const isPathBad = path !== undefined && isBad(path, (why) => refuse(`Match.HTTP.${found?.[0] ?? ""}`, why));
  // A route that cannot be told apart would take calls of others.
  if (isPathBad || [...headers, ...query].includes(undefined)) return undefined;
  return {
    path,
    headers: headers.filter((test) => test !== undefined),
    query: query.filter((test) => test !== undefined),
    methods: listIn(http, "Methods").map((method) => String(method).toUpperCase()),
  };
}

const KINDS = [
  ["Exact", "exact"],
  ["Prefix", "prefix"],
  ["Suffix", "suffix"],
  ["Contains", "contains"],
  ["Regex", "regex"],
] as const;

function readTest(test: unknown, refuse: Refuse): FieldTest | undefined {
  const name = textIn(test, "Name") ?? "";
  const [key, kind] = KINDS.find(([word]) => textIn(test, word) !== undefined) ?? ["", "present"];
  if (kind === "present" && field(test, "Present") !== true) {
    refuse("", "it says nothing that a value could be compared with; the route matches no call");
    return undefined;
  }
  const read: FieldTest = {
    name,
    kind,
    text: textIn(test, key) ?? "",
    invert: field(test, "Invert") === true,
    ignoreCase: field(test, "IgnoreCase") === true,
  };
  return isBad(read, (why) => refuse(`.${key}`, why)) ? undefined : read;
}

function isBad({ kind, text, ignoreCase }: TextTest, refuse: (why: string) => void): boolean {
  const compiled = kind === "regex" ? wholeRegExp(text, ignoreCase) : undefined;
  if (typeof compiled !== "string") return false;
  refuse(`${compiled}; the route matches no call`);
  return true;
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
