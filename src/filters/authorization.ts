import type { Logger } from "pino";
import { type Call, type Failure, failure } from "../http/call.ts";
import type { Reason } from "../http/reason.ts";
import type { SpiffeId } from "../identity/spiffe.ts";
import { type Effect, Rule, type RuleOptions } from "./authorization-rule.ts";
import type { Filter, Verdict } from "./filter.ts";

export interface AuthorizationOptions {
  /** What becomes of a call that no rule is for. */
  readonly default: Effect;
  /** shadow: nothing is refused. */
  readonly mode: "enforce" | "shadow";
  /** What becomes of calls under way that other rules would not let in. */
  readonly openCalls: "finish" | "end";
  readonly deny: readonly RuleOptions[];
  readonly allow: readonly RuleOptions[];
}

/** How calls were decided, by one rule or by the default. */
export interface DecisionCounts {
  allowed: number;
  denied: number;
  /** What the rule would have done, were it in force. */
  shadowAllowed: number;
  shadowDenied: number;
}

/** One of the ways in which a call can be decided; made once a configuration. */
interface Ruling {
  /** The rule's name, or `default`. */
  readonly by: string;
  /** Why the call is refused; undefined: it is not. */
  readonly reason: Extract<Reason, "AUTHZ_DENIED" | "NO_IDENTITY"> | undefined;
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

interface Policy {
  /** It depends on who this sidecar is. */
  readonly relative: boolean;
  readonly shadow: boolean;
  readonly deny: readonly Bound[];
  readonly allow: readonly Bound[];
  /** Rules that are only tried. */
  readonly tried: readonly Bound[];
  readonly byDefault: Ruling;
  readonly anonymous: Ruling;
}

/** The word for the default where rules have names. */
export const DEFAULT = "default";
/** Milliseconds between two lines of the log about the same shadow decision. */
const QUIET = 10_000;

/**
 * Who may call the application. A rule of `deny` that is for a call refuses it; else a rule of `allow` that is for it lets it in; else
 * the default decides. The caller is who TLS has verified: without that it is nobody, and no rule that asks for an identity is for it.
 *
 * Invariants: rules in force are asked per call, so that a change holds from the next call on; counts live on under a rule's name;
 * a decision allocates nothing unless it refuses.
 */
export class Authorization {
  /** Who this sidecar is; undefined while it has no certificate. */
  own: () => SpiffeId | undefined = () => undefined;
  private readonly time: { now(): number };
  private readonly log: Logger;
  private options: AuthorizationOptions | undefined;
  private policy: Policy | undefined;
  /** Whose rules these are: services are meant beside it. */
  private compiledFor: SpiffeId | undefined;
  private counts = new Map<string, DecisionCounts>();

  /** `time`: milliseconds of the clock. */
  constructor(time: { now(): number }, log: Logger) {
    this.time = time;
    this.log = log;
  }

  /** In force from the next call on. */
  apply(options: AuthorizationOptions | undefined): void {
    this.options = options;
    const names = [DEFAULT, ...(options?.deny ?? []).map(nameOf), ...(options?.allow ?? []).map(nameOf)];
    const kept = options === undefined ? [] : names;
    this.counts = new Map(kept.map((name) => [name, this.counts.get(name) ?? noCounts()]));
    this.compile();
  }

  /** What each rule has decided, the default among them. */
  all(): Iterable<readonly [rule: string, counts: DecisionCounts]> {
    return this.counts;
  }

  onRequest(call: Call): Verdict {
    if (this.policy === undefined) return undefined;
    const policy = this.current(this.policy);
    const ruling = decide(policy, call);
    if (policy.tried.length > 0) this.tryOut(policy, call, ruling);
    call.note("authorization", ruling.by, ruling.reason === undefined ? 1 : 0, policy.shadow ? 1 : 0);
    if (ruling.reason === undefined) {
      ruling.counts.allowed++;
      return undefined;
    }
    if (!policy.shadow) return refusal(ruling, ruling.reason, call);
    ruling.counts.shadowDenied++;
    this.tell(ruling, call, "would be denied");
    return undefined;
  }

  /** Why a call under way would not be let in by the rules as they are now; undefined where it would, or may finish. */
  reconsider(call: Call): Verdict {
    if (this.policy === undefined || this.policy.shadow || this.options?.openCalls !== "end") return undefined;
    const ruling = decide(this.current(this.policy), call);
    return ruling.reason && refusal(ruling, ruling.reason, call);
  }

  /** The rules, for who this sidecar is by now. */
  private current(policy: Policy): Policy {
    if (!policy.relative) return policy;
    // A certificate that has expired does not change who this sidecar was to those who are connected.
    const own = this.own() ?? this.compiledFor;
    return own?.text === this.compiledFor?.text ? policy : (this.compile() ?? policy);
  }

  private compile(): Policy | undefined {
    const { options } = this;
    const own = this.own() ?? this.compiledFor;
    this.compiledFor = own;
    this.policy = undefined;
    if (options === undefined) return undefined;
    const bind = (effect: Effect, rules: readonly RuleOptions[]): Bound[] =>
      rules.map((rule) => ({
        rule: new Rule(effect, rule, own),
        ruling: this.ruling(rule.name, effect === "deny" ? "AUTHZ_DENIED" : undefined),
      }));
    const inForce = (rules: readonly RuleOptions[]): RuleOptions[] => rules.filter(({ mode }) => mode === "enforce");
    const shadow = (rules: readonly RuleOptions[]): RuleOptions[] => rules.filter(({ mode }) => mode === "shadow");
    this.policy = {
      relative: [...options.deny, ...options.allow].some(({ services }) => services !== undefined),
      shadow: options.mode === "shadow",
      deny: bind("deny", inForce(options.deny)),
      allow: bind("allow", inForce(options.allow)),
      tried: [...bind("deny", shadow(options.deny)), ...bind("allow", shadow(options.allow))],
      byDefault: this.ruling(DEFAULT, options.default === "deny" ? "AUTHZ_DENIED" : undefined),
      anonymous: this.ruling(DEFAULT, "NO_IDENTITY"),
    };
    return this.policy;
  }

  private ruling(by: string, reason: Ruling["reason"]): Ruling {
    return { by, reason, counts: this.counts.get(by) ?? noCounts(), report: { at: -QUIET, since: 0 } };
  }

  /** Counts what rules that are not in force would have changed. */
  private tryOut(policy: Policy, call: Call, ruling: Ruling): void {
    const isDefault = ruling === policy.byDefault || ruling === policy.anonymous;
    for (const { rule, ruling: its } of policy.tried) {
      const changes = rule.effect === "deny" ? ruling.reason === undefined : isDefault && ruling.reason !== undefined;
      if (!changes || !rule.meansCall(call) || !rule.meansCaller(call.identity)) continue;
      if (rule.effect === "deny") its.counts.shadowDenied++;
      else its.counts.shadowAllowed++;
      this.tell(its, call, rule.effect === "deny" ? "would be denied" : "would be allowed");
    }
  }

  private tell({ by, report }: Ruling, { identity, peer, path }: Call, what: string): void {
    report.since++;
    const now = this.time.now();
    if (now - report.at < QUIET) return;
    report.at = now;
    const calls = report.since;
    report.since = 0;
    this.log.info({ rule: by, calls, identity, peer, path }, `authorization in shadow: a call ${what}`);
  }
}

function decide(policy: Policy, call: Call): Ruling {
  for (const { rule, ruling } of policy.deny)
    if (rule.meansCall(call) && rule.meansCaller(call.identity)) return ruling;
  let otherwise = policy.byDefault;
  for (const { rule, ruling } of policy.allow) {
    if (!rule.meansCall(call)) continue;
    if (rule.meansCaller(call.identity)) return ruling;
    // It might be let in if it said who it is.
    if (call.identity === undefined) otherwise = policy.anonymous;
  }
  return otherwise;
}

/** The caller is not told which rule it was: what is written about others is not for it. */
function refusal(ruling: Ruling, reason: NonNullable<Ruling["reason"]>, { identity, upstream }: Call): Failure {
  ruling.counts.denied++;
  const why = ruling.by === DEFAULT ? "no rule allows it" : `the rule ${ruling.by} denies it`;
  const who = identity ?? "a caller without an identity";
  return failure(reason, `${who} may not make this call of ${upstream}`, { log: `${who}: ${why}` });
}

function nameOf({ name }: RuleOptions): string {
  return name;
}

function noCounts(): DecisionCounts {
  return { allowed: 0, denied: 0, shadowAllowed: 0, shadowDenied: 0 };
}

/** Refuses calls of those who may not make them. */
export function authorize(authorization: Authorization): Filter {
  return { name: "authorization", onRequest: (call) => authorization.onRequest(call) };
}
