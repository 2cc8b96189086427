import type { HealthAnswer } from "./schema.ts";

/** What is remembered of the answers that were believed. */
export interface Memory {
  /** Index of the last list that was believed; 0 where there was none. */
  readonly index: bigint;
  /** How many instances it had; undefined where there was none. */
  readonly size: number | undefined;
  /** The clock's milliseconds until which no list is believed to have become empty. */
  readonly doubtEmptyUntil: number;
}

/** What to do with an answer. */
export type Judgement =
  | { readonly kind: "take" }
  /** No news, or news that need an authority: a query that does not block is asked, which a server answers. */
  | { readonly kind: "confirm" }
  /** Better than nothing, but perhaps old. */
  | { readonly kind: "borrow"; readonly why: string }
  /** Not believed: what was known stays. */
  | { readonly kind: "keep"; readonly why: string };

/**
 * Whether an answer is believed. Instances are believed from a server that has a leader. That there are none any more is
 * believed only with a cause: the list has moved on, and not just because Consul itself was away or lost its memory
 * (then sidecars register again within a few seconds), nor because the token may not see it.
 *
 * An agent's own view is believed where it has moved on. That it has not says nothing: servers may be gone; so each wait
 * without news ends with a question to a server, as does a list that became empty.
 */
export function judge(memory: Memory, answer: HealthAnswer, now: number): Judgement {
  const isEmpty = answer.endpoints.length === 0;
  if (answer.streamed) return answer.index <= memory.index || isEmpty ? { kind: "confirm" } : { kind: "take" };
  if (answer.knownLeader === false) {
    const why = "the server that answered knows no cluster leader";
    return memory.index === 0n && !isEmpty ? { kind: "borrow", why } : { kind: "keep", why };
  }
  if (!isEmpty) return { kind: "take" };
  if (answer.filtered) return keep("the list is empty to this token: it lacks service:read or node:read");
  if (memory.size === undefined || memory.size === 0) return { kind: "take" };
  if (answer.index <= memory.index) return keep("the list became empty without a change of its index");
  if (answer.knownLeader !== true) return keep("the list became empty at a server that names no leader");
  if (now < memory.doubtEmptyUntil) return keep("the list became empty right after an outage of consul");
  return { kind: "take" };
}

function keep(why: string): Judgement {
  return { kind: "keep", why };
}
