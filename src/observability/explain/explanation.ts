import type { Call } from "../../http/call.ts";
import { readablePath } from "../../http/call-match.ts";
import type { Candidate, Fact } from "../../http/decision.ts";
import { statusName } from "../../http/reason.ts";
import { traceContextOf } from "../../http/trace-context.ts";
import type { Recorded } from "./decisions.ts";
import { milliseconds, type Phases, phasesOf } from "./phases.ts";

/** One decision about a call, for people. */
export interface Step {
  /** Milliseconds after the call's head. */
  readonly at: number;
  readonly decision: string;
  readonly text: string;
  /** What there was to choose from, each with what became of it. */
  readonly candidates?: readonly Candidate[];
  /** Of a limit or a breaker. */
  readonly value?: number;
  readonly threshold?: number;
}

/** Why a call went as it did. What is not known, or not yet, is null. */
export interface Explanation {
  readonly id: string;
  readonly traceId: string | null;
  readonly direction: string;
  readonly path: string;
  readonly authority: string | null;
  readonly peer: string;
  readonly identity: string | null;
  readonly startedAt: string;
  readonly upstream: string | null;
  readonly endpoint: string | null;
  readonly attempts: number;
  readonly deadline: { readonly ms: number; readonly by: string } | null;
  readonly status: string | null;
  readonly reason: string | null;
  readonly durationMs: number | null;
  readonly phases: Readonly<Record<keyof Phases, number | null>>;
  readonly steps: readonly Step[];
  /** The first decisions are no longer known: too many calls came since. */
  readonly forgotten: boolean;
}

/** Candidates that are listed of one decision. */
const MOST = 100;

/** `id`: the call's, as the log has it. `wall`: from the clock's milliseconds to those since the Unix epoch. */
export function explain({ call, facts, forgotten }: Recorded, id: string, wall: (at: number) => number): Explanation {
  const { deadline, startedAt, outcome } = call;
  const { deciding, reaching, upstream, answering } = phasesOf(call);
  return {
    id,
    traceId: traceContextOf(call.head)?.traceId ?? null,
    direction: call.direction,
    path: readablePath(call.path),
    authority: call.head.get(":authority") ?? null,
    peer: call.peer,
    identity: call.identity ?? null,
    startedAt: new Date(wall(startedAt)).toISOString(),
    upstream: call.upstream === "" ? null : call.upstream,
    endpoint: call.endpoint ?? null,
    attempts: call.attempts,
    deadline: deadline === undefined ? null : { ms: milliseconds(deadline.at - startedAt), by: deadline.by },
    status: outcome === undefined ? null : statusName(outcome.status),
    reason: outcome?.reason ?? null,
    durationMs: outcome === undefined ? null : milliseconds(call.endedAt - startedAt),
    phases: {
      deciding: deciding ?? null,
      reaching: reaching ?? null,
      upstream: upstream ?? null,
      answering: answering ?? null,
    },
    steps: steps(call, facts),
    forgotten,
  };
}

function steps(call: Call, facts: readonly Fact[]): Step[] {
  const tried = new Set<string>();
  return facts.map((fact, index) => {
    const { decision, subject, value, bound } = fact;
    const at = milliseconds(fact.at - call.startedAt);
    const base = { at, decision, text: textOf(fact) };
    if (typeof subject === "string") {
      if (decision === "picked") tried.add(subject);
      const measured = (decision === "limit" || decision === "breaker") && bound > 0;
      return measured ? { ...base, value: Math.round(value * 1e4) / 1e4, threshold: bound } : base;
    }
    const all = subject.explain(call);
    const picked = facts[index + 1]?.decision === "picked" ? facts[index + 1]?.subject : undefined;
    const listed = all.slice(0, MOST).map((candidate) => verdict(decision, candidate, picked, tried));
    const more = all.length - listed.length;
    if (more > 0) listed.push({ name: `${more} more`, verdict: "not listed" });
    return { ...base, candidates: listed };
  });
}

/** What became of an endpoint is only known with the pick that followed; of other candidates their own word is the last. */
function verdict(decision: string, candidate: Candidate, picked: unknown, tried: ReadonlySet<string>): Candidate {
  if (decision !== "candidates" || !candidate.verdict.startsWith("eligible")) return candidate;
  const { name } = candidate;
  if (name === picked) return { name, verdict: candidate.verdict.replace("eligible", "picked") };
  return {
    name,
    verdict: tried.has(name) ? "not picked: this call has tried it" : "not picked: the balancer preferred another",
  };
}

function textOf({ decision, subject, value, bound }: Fact): string {
  const name = typeof subject === "string" ? subject : "";
  switch (decision) {
    case "routes":
      return name === "" ? "the route was looked for by the call's name" : `the route is fixed: ${name}`;
    case "routed":
      return `the call is for ${name}`;
    case "refused":
      return `refused by ${name}`;
    case "token":
      return value === 1 ? `the token of ${name} is good` : `the token is not taken: ${name}`;
    case "authorization":
      return `${value === 1 ? "allowed" : bound === 1 ? "would be denied" : "denied"} by ${ruler(name)}`;
    case "external":
      return `${value === 1 ? "let in" : "not let in"} by the authorization service${bound === 2 ? ", which gave no answer" : ""}${name === "" ? "" : `: ${name}`}`;
    case "limit":
      return bound === 0 && value === 0
        ? `limit ${name}`
        : `limit ${name}: ${tenths(value)}${bound === 0 ? "" : ` of ${bound}`}`;
    case "breaker":
      return `circuit breaker ${name}${bound === 0 ? "" : `: ${percent(value)} failed, it opens at ${percent(bound)}`}`;
    case "waits":
      return `waited for ${name}`;
    case "candidates":
      return "the endpoints that there were";
    case "picked":
      return `picked ${name} with ${value} calls under way${bound === 0 ? "" : `, the next best had ${bound}`}`;
    case "attempt":
      return `attempt ${value} left for ${name}`;
    case "answered":
      return `${name} began to answer attempt ${value}`;
    case "attemptEnded":
      return value === 0 ? `no connection: ${name}` : `attempt ${value} ended with ${name}`;
    case "retry":
      return `made again as attempt ${value}, which is safe: ${name}`;
    case "notRetried":
      return `not made again: ${name}`;
    case "hedge":
      return `attempt ${value} was sent beside the others: ${name}`;
    case "ended":
      return `ended with ${statusName(value)}${name === "" ? "" : `, ${name}`}`;
    case "compared":
      return `compared with the copy that went to ${name}`;
  }
}

/** Rules have names without spaces. */
function ruler(name: string): string {
  if (name === "default") return "authorization.default";
  return name.includes(" ") ? `the ${name}` : `the rule ${name}`;
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}

function percent(share: number): string {
  return `${Math.round(share * 1000) / 10} %`;
}
