import { remembered } from "../../core/remembered.ts";
import { type Call, type Failure, failure } from "../../http/call.ts";
import { nameAsRead } from "../../http/field-name.ts";
import { encodeMessage } from "../../http/grpc.ts";
import { HeadFilter, withAppended } from "../../http/head-edit.ts";
import type { HeaderTable } from "../../http/headers.ts";
import { type CallToken, claimValues } from "../../http/token.ts";
import { methodMatcher } from "../authorization-rule.ts";
import type { Filter, Verdict } from "../filter.ts";
import { pathReadings } from "../path-readings.ts";
import { type Remembered, TokenCache } from "./token-cache.ts";
import { type FoundToken, findToken, type TokenPlace } from "./token-place.ts";

/** What becomes of the tokens of one provider. */
export interface TokenUse {
  readonly from: readonly TokenPlace[];
  /** Whether the application gets the token. */
  readonly toApplication: "forward" | "strip";
  /** What it is told by fields: the claim of each. */
  readonly claims: ReadonlyMap<string, string>;
}

/** Which methods need a token, and whose. */
export interface TokenRule {
  /** undefined: every method. */
  readonly methods: readonly string[] | undefined;
  readonly need: "required" | "optional" | "ignored";
  /** Whose tokens count; undefined: those of all. */
  readonly providers: readonly string[] | undefined;
}

/** `jwt`. */
export interface TokenOptions {
  readonly providers: ReadonlyMap<string, TokenUse>;
  /** The first that is for a call counts; where none is, a token is required. */
  readonly rules: readonly TokenRule[];
}

/** What verifying a token comes to; see the verifier. */
export type Verdicts =
  | { readonly kind: "verified"; readonly provider: string; readonly claims: object; readonly until: number }
  | { readonly kind: "invalid" | "expired"; readonly why: string; readonly lasting: boolean }
  | { readonly kind: "unknown"; readonly why: string };

/** What looking at tokens needs. */
export interface TokenServices {
  readonly clock: { wall(): number };
  readonly headers: HeaderTable;
}

/** What came of calls, where tokens are looked for. */
export interface TokenCounts {
  verified: number;
  /** Of them, those whose token was known. */
  known: number;
  missing: number;
  invalid: number;
  expired: number;
  unknown: number;
  busy: number;
}

/** A token that was verified, or that cannot be. */
type Known = Remembered &
  (
    | {
        readonly kind: "verified";
        readonly token: CallToken;
        readonly fields: readonly (readonly [name: string, value: string])[];
      }
    | { readonly kind: "invalid" | "expired"; readonly why: string }
  );

interface Rule {
  readonly need: TokenRule["need"];
  readonly providers: ReadonlySet<string>;
  readonly places: readonly TokenPlace[];
}

interface Policy {
  readonly options: TokenOptions;
  readonly ruleFor: (path: string) => Rule;
  /** Takes away what only this sidecar says of claims. */
  readonly forged: HeadFilter | undefined;
  /** Takes the token away, by provider. */
  readonly strips: ReadonlyMap<string, HeadFilter>;
}

/** Tokens that may be verified at once; a signature takes some 0.1 ms, keys that have to be fetched seconds. */
const MAX_UNDER_WAY = 256;
/** Milliseconds for which a token that is no good is remembered. */
const REMEMBER_BAD = 10_000;
/** Octets of an entry beside its texts. */
const ENTRY = 256;

/**
 * Who calls, by tokens (JWT). Verified claims go to the rules of authorization and, as fields, to the application.
 *
 * Invariants: a field that tells a claim is this sidecar's or not there; a token counts for no longer than its `exp`, and no longer
 * than the keys that verified it; a token seen before costs a look, and no promise; no text holds a part of a token.
 */
export class Tokens {
  readonly counts: TokenCounts = { verified: 0, known: 0, missing: 0, invalid: 0, expired: 0, unknown: 0, busy: 0 };
  /** Verifies a token; never rejects. */
  verify: (token: string) => Promise<Verdicts> = () => Promise.resolve({ kind: "unknown", why: "there are no keys" });
  private readonly services: TokenServices;
  private readonly cache = new TokenCache<Known>();
  private readonly underWay = new Map<string, Promise<Known | undefined>>();
  private policy: Policy | undefined = undefined;
  /** Counts changes of keys and rules: what was begun before one is not remembered. */
  private generation = 0;

  constructor(services: TokenServices) {
    this.services = services;
  }

  /** In force from the next call on. */
  apply(options: TokenOptions | undefined): void {
    this.forget();
    this.policy = options && compile(options, this.services.headers);
  }

  /** Other keys are in force: what the ones before have verified does not count any more. */
  forget(): void {
    this.generation++;
    this.cache.clear();
  }

  onRequest(call: Call): Verdict | Promise<Verdict> {
    const { policy } = this;
    if (policy === undefined) return undefined;
    if (policy.forged !== undefined) call.head = policy.forged.apply(call.head);
    const rule = policy.ruleFor(call.path);
    if (rule.need === "ignored") return undefined;
    const found = findToken(call.head, rule.places);
    if (found === "several") return this.refuse("invalid", call, "there are several tokens, or several fields for one");
    if (found === undefined) return rule.need === "required" ? this.refuse("missing", call) : undefined;
    const known = this.cache.get(found.text, this.services.clock.wall());
    if (known === undefined) return this.wait(policy, rule, found, call);
    if (known.kind === "verified") this.counts.known++;
    return this.admit(policy, rule, found, known, call);
  }

  private async wait(policy: Policy, rule: Rule, found: FoundToken, call: Call): Promise<Verdict> {
    let made = this.underWay.get(found.text);
    if (made === undefined) {
      if (this.underWay.size >= MAX_UNDER_WAY) {
        this.counts.busy++;
        const detail = `${MAX_UNDER_WAY} tokens are being verified already`;
        return failure("QUEUE_FULL", detail, { unprocessed: true });
      }
      made = this.begin(policy, found.text);
      this.underWay.set(found.text, made);
    }
    const known = await made;
    return known === undefined
      ? this.refuse("unknown", call, "the keys for it cannot be had")
      : this.admit(policy, rule, found, known, call);
  }

  /** Verifies a token and remembers what it came to; undefined where nobody knows. */
  private async begin({ options }: Policy, token: string): Promise<Known | undefined> {
    const { generation } = this;
    const wall = this.services.clock.wall();
    try {
      const verdict = await this.verify(token);
      if (verdict.kind === "unknown") return undefined;
      const known = remember(verdict, options, wall);
      const isLasting = verdict.kind === "verified" || verdict.lasting;
      if (isLasting && generation === this.generation) this.cache.set(token, known);
      return known;
    } finally {
      this.underWay.delete(token);
    }
  }

  private admit(policy: Policy, rule: Rule, { place }: FoundToken, known: Known, call: Call): Verdict {
    if (known.kind !== "verified") return this.refuse(known.kind, call, known.why);
    const { token, fields } = known;
    const { provider } = token;
    if (!rule.providers.has(provider))
      return this.refuse("invalid", call, "it is of a provider that does not count here");
    if (policy.options.providers.get(provider)?.from.includes(place) !== true)
      return this.refuse("invalid", call, "it stands where its provider has none");
    this.counts.verified++;
    call.note("token", provider, 1);
    call.token = token;
    let head = policy.strips.get(provider)?.apply(call.head) ?? call.head;
    for (const [name, value] of fields) head = withAppended(this.services.headers, head, name, value);
    call.head = head;
    return undefined;
  }

  private refuse(kind: "missing" | "invalid" | "expired" | "unknown", call: Call, why = "there is none"): Failure {
    this.counts[kind]++;
    call.note("token", why, 0);
    const { reason, challenge } = refusals[kind];
    const fields = challenge === undefined ? {} : { fields: [["www-authenticate", challenge] as const] };
    return failure(reason, `the call's token is not taken: ${why}`, { unprocessed: kind === "unknown", ...fields });
  }
}

/** The challenges are those of RFC 6750 §3. */
const refusals = {
  missing: { reason: "JWT_MISSING", challenge: "Bearer" },
  invalid: { reason: "JWT_INVALID", challenge: 'Bearer error="invalid_token"' },
  expired: {
    reason: "JWT_EXPIRED",
    challenge: 'Bearer error="invalid_token", error_description="the token has expired"',
  },
  unknown: { reason: "JWT_KEYS_UNAVAILABLE", challenge: undefined },
} as const;

function compile(options: TokenOptions, headers: HeaderTable): Policy {
  const { providers } = options;
  const names = new Set([...providers.values()].flatMap(({ claims }) => [...claims.keys()].map(nameAsRead)));
  return {
    options,
    ruleFor: remembered((path) =>
      strictest(
        pathReadings(path).map((reading) => ruleFor(reading, options)),
        options,
      ),
    ),
    forged: names.size === 0 ? undefined : new HeadFilter(headers, (name) => names.has(nameAsRead(name))),
    strips: new Map(
      [...providers]
        .filter(([, { toApplication }]) => toApplication === "strip")
        .map(([name, { from }]) => {
          const fields = new Set(from.map(({ metadata }) => metadata));
          return [name, new HeadFilter(headers, (field) => fields.has(field))];
        }),
    ),
  };
}

const REQUIRED: TokenRule = { methods: undefined, need: "required", providers: undefined };

function ruleFor(path: string, { rules }: TokenOptions): TokenRule {
  return rules.find(({ methods }) => methods?.some((method) => methodMatcher(method)(path)) !== false) ?? REQUIRED;
}

/** What has to hold whichever of several rules is meant, for a path that can be read in several ways. */
function strictest(rules: readonly TokenRule[], { providers }: TokenOptions): Rule {
  const need =
    (["required", "optional"] as const).find((some) => rules.some((rule) => rule.need === some)) ?? "ignored";
  const asking = rules.filter((rule) => rule.need !== "ignored");
  const whose = [...providers.keys()].filter((name) =>
    asking.every(({ providers: some }) => some?.includes(name) !== false),
  );
  return { need, providers: new Set(whose), places: whose.flatMap((name) => providers.get(name)?.from ?? []) };
}

function remember(verdict: Exclude<Verdicts, { kind: "unknown" }>, { providers }: TokenOptions, wall: number): Known {
  if (verdict.kind !== "verified") {
    const { kind, why } = verdict;
    return { kind, why, until: wall + REMEMBER_BAD, size: ENTRY };
  }
  const { provider, claims, until } = verdict;
  const token: CallToken = { provider, claims: { ...claims } };
  const told = [...(providers.get(provider)?.claims ?? [])];
  const fields = told.flatMap(([name, claim]) => {
    const values = claimValues(token.claims, claim);
    return values.length === 0 ? [] : [[name, encodeMessage(values.join(","))] as const];
  });
  const size = ENTRY + JSON.stringify(claims).length + fields.reduce((sum, [, value]) => sum + value.length, 0);
  return { kind: "verified", token, fields, until, size };
}

/** Looks for tokens, and refuses calls whose token is no good. */
export function verifyTokens(tokens: Tokens): Filter {
  return { name: "jwt", onRequest: (call) => tokens.onRequest(call) };
}
