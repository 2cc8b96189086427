import type { Logger } from "pino";
import { type Call, type Failure, failure } from "../http/call.ts";
import { readablePath } from "../http/call-match.ts";
import type { SpiffeId } from "../identity/spiffe.ts";
import {
  type AuthorizationOptions,
  compilePolicy,
  type DecisionCounts,
  decide,
  type Policy,
  QUIET,
  type Ruling,
} from "./authorization-policy.ts";
import type { Filter, Verdict } from "./filter.ts";
import type { IntentionSet } from "./intentions/intentions.ts";

/**
 * Who may call the application. A rule of `deny` that is for a call refuses it; else a rule of `allow` that is for it lets it in; else
 * the default decides. Intentions of Consul deny and allow behind the rules. The caller is who TLS has verified: without that it is
 * nobody, and neither a rule nor an intention that asks for an identity is for it.
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
  private intentions: IntentionSet | undefined;
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
    this.compile();
  }

  /** What Consul says by now, in force from the next call on; undefined: nothing yet. */
  setIntentions(intentions: IntentionSet | undefined): void {
    this.intentions = intentions;
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
    if (!policy.shadow) return refusal(ruling, call);
    ruling.counts.shadowDenied++;
    this.tell(ruling, call, "would be denied");
    return undefined;
  }

  /** Why a call under way would not be let in by the rules as they are now; undefined where it would, or may finish. */
  reconsider(call: Call): Verdict {
    if (this.policy === undefined || this.policy.shadow || this.options?.openCalls !== "end") return undefined;
    const ruling = decide(this.current(this.policy), call);
    // What nobody knows yet is no change.
    return ruling.reason === undefined || ruling.reason === "AUTHZ_UNKNOWN" ? undefined : refusal(ruling, call);
  }

  /** The rules, for who this sidecar is by now. */
  private current(policy: Policy): Policy {
    if (!policy.relative) return policy;
    // A certificate that has expired does not change who this sidecar was to those who are connected.
    const own = this.own() ?? this.compiledFor;
    return own?.text === this.compiledFor?.text ? policy : (this.compile() ?? policy);
  }

  private compile(): Policy | undefined {
    const { options, intentions, counts } = this;
    const own = this.own() ?? this.compiledFor;
    this.compiledFor = own;
    this.policy = undefined;
    this.counts = new Map();
    if (options === undefined) return undefined;
    const countsOf = (name: string): DecisionCounts => {
      const found = this.counts.get(name) ?? counts.get(name) ?? noCounts();
      this.counts.set(name, found);
      return found;
    };
    this.policy = compilePolicy(options, intentions, own, countsOf);
    return this.policy;
  }

  /** Counts what rules that are not in force would have changed. */
  private tryOut(policy: Policy, call: Call, ruling: Ruling): void {
    const isDefault = ruling === policy.byDefault || ruling === policy.anonymous || ruling === policy.withoutToken;
    for (const { rule, ruling: its } of policy.tried) {
      const changes = rule.effect === "deny" ? ruling.reason === undefined : isDefault && ruling.reason !== undefined;
      if (!changes || !rule.meansCall(call) || !rule.meansCaller(call.identity) || !rule.meansToken(call.token))
        continue;
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
    this.log.info(
      { rule: by, calls, identity, peer, path: readablePath(path) },
      `authorization in shadow: a call ${what}`,
    );
  }
}

/** The caller is not told which rule it was: what is written about others is not for it. */
function refusal({ counts, reason, why }: Ruling, { identity, upstream }: Call): Failure {
  counts.denied++;
  const who = identity ?? "a caller without an identity";
  if (reason === undefined || reason === "AUTHZ_UNKNOWN")
    return failure("AUTHZ_UNKNOWN", `${why}, so that nobody may call ${upstream}`, { unprocessed: true });
  return failure(reason, `${who} may not make this call of ${upstream}`, { log: `${who}: ${why}` });
}

function noCounts(): DecisionCounts {
  return { allowed: 0, denied: 0, shadowAllowed: 0, shadowDenied: 0 };
}

/** Refuses calls of those who may not make them. */
export function authorize(authorization: Authorization): Filter {
  return { name: "authorization", onRequest: (call) => authorization.onRequest(call) };
}
