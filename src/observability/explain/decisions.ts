import type { Call } from "../../http/call.ts";
import type { Decision, Explainer, Fact, Recorder } from "../../http/decision.ts";
import { isLarge, smallCopy } from "./small-call.ts";

/** Facts of a usual call: routes, routed, candidates, picked, attempt, answered, attemptEnded, ended; and four limits. */
const FACTS_A_CALL = 12;
/** Numbers of a fact: its call, when, value, bound. */
const STRIDE = 4;

/** A call with what was decided about it, as far as that is still known. */
export interface Recorded {
  readonly call: Call;
  readonly facts: readonly Fact[];
  /** The first of its facts have been written over. */
  readonly forgotten: boolean;
}

/**
 * What was decided about the last calls, kept always and read when somebody asks: a ring of facts, numbers in a typed array
 * and words by reference, so that recording allocates nothing. Texts are made by `explanation.ts`.
 *
 * Invariants:
 * - a call's number is never used again, and its place among `calls` is the number modulo their count;
 * - `next` is the place of the oldest fact, the next to be written over;
 * - of a call that is over no more is kept than `small-call.ts` says, however much its caller has sent.
 */
export class Decisions implements Recorder {
  private readonly clock: { now(): number };
  private size = 0;
  private calls: (Call | undefined)[] = [];
  private decisions: (Decision | undefined)[] = [];
  private subjects: (string | Explainer)[] = [];
  private numbers = new Float64Array(0);
  private next = 0;
  private lastId = 0;

  /** `calls`: how many are remembered. `clock`: milliseconds, cheap to ask. */
  constructor(calls: number, clock: { now(): number }) {
    this.clock = clock;
    this.resize(calls);
  }

  /** Remembers so many calls from now on. Where that is another number, those before are forgotten. */
  resize(calls: number): void {
    if (calls === this.capacity) return;
    this.size = calls * FACTS_A_CALL;
    this.next = 0;
    this.calls = Array.from({ length: calls }, () => undefined);
    this.decisions = Array.from({ length: this.size }, () => undefined);
    this.subjects = Array.from({ length: this.size }, () => "");
    this.numbers = new Float64Array(this.size * STRIDE);
  }

  /** Calls that are remembered at most. */
  get capacity(): number {
    return this.calls.length;
  }

  /** Gives a call its number, and records it from now on. */
  begin(call: Call): void {
    const id = ++this.lastId;
    call.id = id;
    call.recorder = this;
    this.calls[id % this.calls.length] = call;
  }

  note(call: Call, decision: Decision, subject: string | Explainer, value: number, bound: number): void {
    const at = this.next;
    this.next = at + 1 === this.size ? 0 : at + 1;
    const now = this.clock.now();
    this.decisions[at] = decision;
    this.subjects[at] = subject;
    const first = at * STRIDE;
    this.numbers[first] = call.id;
    this.numbers[first + 1] = now;
    this.numbers[first + 2] = value;
    this.numbers[first + 3] = bound;
    call.facts?.push({ decision, subject, value, bound, at: now });
  }

  over(call: Call): void {
    if (!isLarge(call)) return;
    const place = call.id % this.calls.length;
    if (this.calls[place] === call) this.calls[place] = smallCopy(call);
  }

  /** What is known of a call by its number. */
  find(id: number): Recorded | undefined {
    const call = this.calls[id % this.calls.length];
    return call?.id === id ? this.recorded(call) : undefined;
  }

  /** The calls that are remembered, the last one first. */
  *latest(): IterableIterator<Call> {
    for (let id = this.lastId; id > 0 && id > this.lastId - this.calls.length; id--) {
      const call = this.calls[id % this.calls.length];
      if (call !== undefined) yield call;
    }
  }

  recorded(call: Call): Recorded {
    const facts = call.facts ?? this.factsOf(call.id);
    return { call, facts, forgotten: facts[0]?.decision !== "routes" && facts[0]?.decision !== "refused" };
  }

  private factsOf(id: number): Fact[] {
    const facts: Fact[] = [];
    for (let passed = 0; passed < this.size; passed++) {
      const at = (this.next + passed) % this.size;
      const decision = this.decisions[at];
      if (decision === undefined || this.numbers[at * STRIDE] !== id) continue;
      facts.push({
        decision,
        subject: this.subjects[at] ?? "",
        at: this.numbers[at * STRIDE + 1] ?? 0,
        value: this.numbers[at * STRIDE + 2] ?? 0,
        bound: this.numbers[at * STRIDE + 3] ?? 0,
      });
    }
    return facts;
  }
}
