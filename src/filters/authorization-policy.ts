import type { Call } from "../http/call.ts";
import type { Reason } from "../http/reason.ts";
import { valuesAt } from "../http/token.ts";
import type { SpiffeId } from "../identity/spiffe.ts";
import { type Effect, Rule, type RuleOptions } from "./authorization-rule.ts";
import type { TokenRequirement } from "./intentions/intention.ts";
import { type IntentionSet, Intentions, type Word } from "./intentions/intentions.ts";

/** `authorization`, but for its service. */
export interface AuthorizationOptions {
  /** What becomes of a call that nothing is for; undefined: what Consul says, where its intentions count. */
  readonly default: Effect | undefined;
  /** Whose intentions count beside the rules. */
  readonly intentions: "consul" | undefined;
  /** shadow: nothing is refused. */
  readonly mode: "enforce" | "shadow";
  /** What becomes of calls under way that other rules would not let in. */
  readonly openCalls: "finish" | "end";
  readonly deny: readonly RuleOptions[];
  readonly allow: readonly RuleOptions[];
}

/** How calls were decided, by one rule, by the intentions of one source, or by the default. */
export interface DecisionCounts {
  allowed: number;
  denied: number;
  /** What the rule would have done, were it in force. */
  shadowAllowed: number;
  shadowDenied: number;
}

/** One of the ways in which a call can be decided; made once a configuration. */
export interface Ruling {
  /** The rule's name, the intention, or `default`. */
  readonly by: string;
  /** Why the call is refused; undefined: it is not. */
  readonly reason: Extract<Reason, "AUTHZ_DENIED" | "NO_IDENTITY" | "JWT_MISSING" | "AUTHZ_UNKNOWN"> | undefined;
  /** For the log. */
  readonly why: string;
  readonly counts: DecisionCounts;
  readonly report: Report;
}

/** When shadow decisions were last told, and how many there have been since. */
interface Report {
  at: number;
  since: number;
}

interface Bound {
  readonly rule: Rule;
  readonly ruling: Ruling;
}

/** What comes of the word of an intention. */
interface Spoken {
  readonly ruling: Ruling;
  /** Where the caller has no identity. */
  readonly anonymous: Ruling;
  /** Where the call lacks a token that the intention wants beside, or has another one. */
  readonly withoutToken: Ruling;
  readonly wrongToken: Ruling;
}

/** Rules and intentions, compiled for who this sidecar is. */
export interface Policy {
  /** It depends on who this sidecar is. */
  readonly relative: boolean;
  readonly shadow: boolean;
  readonly deny: readonly Bound[];
  readonly allow: readonly Bound[];
  /** Rules that are only tried. */
  readonly tried: readonly Bound[];
  /** unknown: they count, and nobody has said yet what they are. */
  readonly intentions: { readonly said: Intentions; readonly words: ReadonlyMap<Word, Spoken> } | "unknown" | undefined;
  readonly unknown: Ruling;
  readonly byDefault: Ruling;
  readonly anonymous: Ruling;
  readonly withoutToken: Ruling;
}

/** The word for the default where rules have names. */
const DEFAULT = "default";
/** Milliseconds between two lines of the log about the same shadow decision. */
export const QUIET = 10_000;
/** Sources of intentions that are counted by name; the catalog may have any number. */
const MAX_SOURCES = 200;

/** The decision that options and intentions come to, made once a change. `countsOf`: where decisions by a rule are counted. */
export function compilePolicy(
  options: AuthorizationOptions,
  set: IntentionSet | undefined,
  own: SpiffeId | undefined,
  countsOf: (name: string) => DecisionCounts,
): Policy {
  const ruling = (by: string, reason: Ruling["reason"], why: string, counts = countsOf(by)): Ruling => ({
    by,
    reason,
    why,
    counts,
    report: { at: -QUIET, since: 0 },
  });
  const bind = (effect: Effect, rules: readonly RuleOptions[]): Bound[] =>
    rules.map((rule) => ({
      rule: new Rule(effect, rule, own),
      ruling: ruling(
        rule.name,
        effect === "deny" ? "AUTHZ_DENIED" : undefined,
        `the rule ${rule.name} ${effect === "deny" ? "denies" : "allows"} it`,
      ),
    }));
  const inForce = (rules: readonly RuleOptions[]): RuleOptions[] => rules.filter(({ mode }) => mode === "enforce");
  const shadow = (rules: readonly RuleOptions[]): RuleOptions[] => rules.filter(({ mode }) => mode === "shadow");
  const counting = options.intentions === undefined ? undefined : (set ?? "unknown");
  const said = counting === undefined || counting === "unknown" ? counting : new Intentions(counting, own);
  const nothing = said === undefined ? "no rule allows it" : "no rule and no intention allows it";
  const byDefault = options.default ?? (said instanceof Intentions ? said.byDefault : "deny");
  return {
    relative: said !== undefined || [...options.deny, ...options.allow].some(({ services }) => services !== undefined),
    shadow: options.mode === "shadow",
    deny: bind("deny", inForce(options.deny)),
    allow: bind("allow", inForce(options.allow)),
    tried: [...bind("deny", shadow(options.deny)), ...bind("allow", shadow(options.allow))],
    intentions: said instanceof Intentions ? { said, words: wordRulings(said, ruling, countsOf) } : said,
    unknown: ruling(
      "intentions, which are not known yet",
      "AUTHZ_UNKNOWN",
      "the intentions of Consul are not known yet",
      countsOf(DEFAULT),
    ),
    byDefault: ruling(DEFAULT, byDefault === "deny" ? "AUTHZ_DENIED" : undefined, nothing),
    anonymous: ruling(DEFAULT, "NO_IDENTITY", nothing),
    withoutToken: ruling(DEFAULT, "JWT_MISSING", nothing),
  };
}

function wordRulings(
  said: Intentions,
  ruling: (by: string, reason: Ruling["reason"], why: string, counts: DecisionCounts) => Ruling,
  countsOf: (name: string) => DecisionCounts,
): ReadonlyMap<Word, Spoken> {
  const sources = new Set<string>();
  const rulings = new Map<Word, Spoken>();
  for (const word of said.words()) {
    if (sources.size < MAX_SOURCES) sources.add(word.source);
    const counts = countsOf(`intention:${sources.has(word.source) ? word.source : "other"}`);
    const isDeny = word.action === "deny";
    const why = `the ${word.by} ${isDeny ? "denies" : "allows"} it`;
    const wants = `the ${word.by} allows it only with a token of ${providersOf(word.tokens)}`;
    rulings.set(word, {
      ruling: ruling(word.by, isDeny ? "AUTHZ_DENIED" : undefined, why, counts),
      anonymous: ruling(word.by, isDeny ? "NO_IDENTITY" : undefined, why, counts),
      withoutToken: ruling(word.by, "JWT_MISSING", wants, counts),
      wrongToken: ruling(word.by, "AUTHZ_DENIED", wants, counts),
    });
  }
  return rulings;
}

function providersOf(tokens: readonly TokenRequirement[]): string {
  return tokens.map(({ providers }) => providers.map(({ name }) => name).join(" or ")).join(" and of ");
}

/**
 * A rule that denies, an intention that denies, a rule that allows, an intention that allows, the default: the first that there is
 * for the call.
 */
export function decide(policy: Policy, call: Call): Ruling {
  for (const { rule, ruling } of policy.deny)
    if (rule.meansCall(call) && rule.meansCaller(call.identity) && rule.meansToken(call.token)) return ruling;
  const { intentions } = policy;
  if (intentions === "unknown") return policy.unknown;
  const spoken = intentions === undefined ? undefined : byIntention(intentions, call);
  if (spoken?.reason !== undefined) return spoken;
  // It might be let in if it said who it is.
  const anonymous = call.identity === undefined && policy.byDefault.reason !== undefined;
  let otherwise = anonymous && intentions !== undefined ? policy.anonymous : policy.byDefault;
  for (const { rule, ruling } of policy.allow) {
    if (!rule.meansCall(call)) continue;
    if (!rule.meansCaller(call.identity)) {
      if (anonymous) otherwise = policy.anonymous;
    } else if (rule.meansToken(call.token)) return ruling;
    else if (call.token === undefined && otherwise === policy.byDefault && otherwise.reason !== undefined)
      otherwise = policy.withoutToken;
  }
  return spoken ?? otherwise;
}

function byIntention(
  { said, words }: Exclude<Policy["intentions"], "unknown" | undefined>,
  call: Call,
): Ruling | undefined {
  const word = said.wordOn(call);
  const spoken = word && words.get(word);
  if (word === undefined || spoken === undefined) return undefined;
  if (word.action === "allow" && word.tokens.length > 0 && !meetsAll(word.tokens, call))
    return call.token === undefined ? spoken.withoutToken : spoken.wrongToken;
  return call.identity === undefined ? spoken.anonymous : spoken.ruling;
}

function meetsAll(tokens: readonly TokenRequirement[], { token }: Call): boolean {
  if (token === undefined) return false;
  return tokens.every(({ providers }) =>
    providers.some(
      ({ name, claims }) =>
        name === token.provider && claims.every(({ path, value }) => valuesAt(token.claims, path).includes(value)),
    ),
  );
}
