import { field } from "../../core/json-field.ts";

/** What an intention, or one of its permissions, does with what it is for. */
export type Action = "allow" | "deny";

/** Who an intention is for. */
export interface IntentionSource {
  /** `*` is every service. */
  readonly name: string;
  readonly namespace: string;
  readonly partition: string;
  /**
   * peer: of another cluster; unknown: in a form that nobody here knows. Both may be for somebody, so that they deny what they
   * may be for, and allow nobody.
   */
  readonly kind: "own" | "peer" | "unknown";
}

/** What a token has to say: any of the providers, and for that one all of the claims. */
export interface TokenRequirement {
  readonly providers: readonly {
    readonly name: string;
    readonly claims: readonly { readonly path: readonly string[]; readonly value: string }[];
  }[];
}

/** What a field of a call has to be. */
export interface HeaderCondition {
  readonly name: string;
  readonly test: "present" | "exact" | "prefix" | "suffix" | "contains" | "regex";
  readonly text: string;
  readonly ignoreCase: boolean;
  readonly invert: boolean;
}

/** What a source may do, by path, method, header and token. */
export interface Permission {
  readonly action: Action;
  readonly path: { readonly test: "exact" | "prefix" | "regex"; readonly text: string } | undefined;
  /** Empty: all. */
  readonly methods: readonly string[];
  readonly headers: readonly HeaderCondition[];
  readonly token: TokenRequirement | undefined;
  /** It has conditions that nobody here knows: it allows nothing, and denies what its other conditions are for. */
  readonly isPartial: boolean;
}

/** Consul's word on the calls of one source: at once, or by permissions, of which the first that is for a call counts. */
export interface Intention {
  readonly source: IntentionSource;
  readonly destination: string;
  readonly does: { readonly action: Action } | { readonly permissions: readonly Permission[] };
  readonly token: TokenRequirement | undefined;
  /** The higher one goes first. */
  readonly precedence: number;
}

/** Why a list cannot be read. */
class Unreadable extends Error {}

/** Reads a list of `/v1/connect/intentions/match`, first who goes first; a string says why it cannot be read. */
export function readIntentions(list: readonly unknown[]): readonly Intention[] | string {
  try {
    const read = list.map((entry, at) => readIntention(entry, `intention ${at + 1}`));
    return read.toSorted((one, other) => other.precedence - one.precedence);
  } catch (error) {
    if (error instanceof Unreadable) return error.message;
    throw error;
  }
}

function readIntention(entry: unknown, what: string): Intention {
  const permissions = listOf(entry, "Permissions", what);
  const precedence = field(entry, "Precedence");
  if (typeof precedence !== "number") throw new Unreadable(`${what} has no precedence`);
  return {
    source: readSource(entry, what),
    destination: textOf(entry, "DestinationName", what),
    does:
      permissions.length > 0
        ? {
            permissions: permissions.map((permission, at) =>
              readPermission(permission, `${what}, permission ${at + 1}`),
            ),
          }
        : { action: actionOf(entry, what) },
    token: readRequirement(field(entry, "JWT"), what),
    precedence,
  };
}

function readSource(entry: unknown, what: string): IntentionSource {
  const name = textOf(entry, "SourceName", what);
  if (name === "") throw new Unreadable(`${what} has no source`);
  const isOdd = textOf(entry, "SourceSamenessGroup", what) !== "" || textOf(entry, "SourceType", what) !== "consul";
  const isPeer = textOf(entry, "SourcePeer", what) !== "";
  return {
    name,
    namespace: textOf(entry, "SourceNS", what) || "default",
    partition: textOf(entry, "SourcePartition", what) || "default",
    kind: isOdd ? "unknown" : isPeer ? "peer" : "own",
  };
}

function readPermission(entry: unknown, what: string): Permission {
  const http = field(entry, "HTTP");
  const paths = (["exact", "prefix", "regex"] as const).flatMap((test) => {
    const text = textOf(http, `Path${test[0]?.toUpperCase()}${test.slice(1)}`, what);
    return text === "" ? [] : [{ test, text }];
  });
  const headers = listOf(http, "Header", what).map((header) => readHeader(header, what));
  return {
    action: actionOf(entry, what),
    path: paths[0],
    methods: listOf(http, "Methods", what).map(String),
    headers: headers.filter((header) => header !== undefined),
    token: readRequirement(field(entry, "JWT"), what),
    isPartial:
      paths.length > 1 ||
      headers.includes(undefined) ||
      hasOthers(entry, ["Action", "HTTP", "JWT"]) ||
      hasOthers(http, ["PathExact", "PathPrefix", "PathRegex", "Header", "Methods"]),
  };
}

const headerTests = ["exact", "prefix", "suffix", "contains", "regex"] as const;
const headerKeys = ["Name", "Present", "Exact", "Prefix", "Suffix", "Contains", "Regex", "Invert", "IgnoreCase"];

/** Undefined where it is in a form that nobody here knows. */
function readHeader(entry: unknown, what: string): HeaderCondition | undefined {
  const name = textOf(entry, "Name", what).toLowerCase();
  if (name === "") throw new Unreadable(`${what} has a header without a name`);
  if (hasOthers(entry, headerKeys)) return undefined;
  const flags = { ignoreCase: flagOf(entry, "IgnoreCase"), invert: flagOf(entry, "Invert") };
  const tests = headerTests.flatMap((test) => {
    const text = textOf(entry, `${test[0]?.toUpperCase()}${test.slice(1)}`, what);
    return text === "" ? [] : [{ test, text }];
  });
  if (flagOf(entry, "Present")) return tests.length > 0 ? undefined : { name, test: "present", text: "", ...flags };
  const [first] = tests;
  return first === undefined || tests.length > 1 ? undefined : { name, ...first, ...flags };
}

function readRequirement(entry: unknown, what: string): TokenRequirement | undefined {
  if (entry === undefined || entry === null) return undefined;
  return {
    providers: listOf(entry, "Providers", what).map((provider) => ({
      name: textOf(provider, "Name", what),
      claims: listOf(provider, "VerifyClaims", what).map((claim) => ({
        path: listOf(claim, "Path", what).map(String),
        value: textOf(claim, "Value", what),
      })),
    })),
  };
}

function actionOf(entry: unknown, what: string): Action {
  const action = field(entry, "Action");
  if (action !== "allow" && action !== "deny") throw new Unreadable(`${what} neither allows nor denies`);
  return action;
}

function textOf(entry: unknown, name: string, what: string): string {
  const value = field(entry, name) ?? "";
  if (typeof value !== "string") throw new Unreadable(`${what} has a ${name} that is no text`);
  return value;
}

function flagOf(entry: unknown, name: string): boolean {
  return field(entry, name) === true;
}

function listOf(entry: unknown, name: string, what: string): readonly unknown[] {
  const value = field(entry, name) ?? [];
  if (!Array.isArray(value)) throw new Unreadable(`${what} has ${name} that are no list`);
  return value;
}

function hasOthers(entry: unknown, known: readonly string[]): boolean {
  return typeof entry === "object" && entry !== null && Object.keys(entry).some((key) => !known.includes(key));
}
