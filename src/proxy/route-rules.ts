import type { Call } from "../http/call.ts";
import type { Candidate, Explainer } from "../http/decision.ts";
import type { FieldEdits } from "../http/field-edits.ts";
import { chooseWay, pointOf, type Way } from "../routing/split.ts";
import type { Target } from "./target.ts";

/** A route of an upstream: which of its calls, and what becomes of them. */
export interface RouteRule {
  readonly name: string;
  readonly matches: (call: Call) => boolean;
  /** Where they go, by share: one way, or several. */
  readonly ways: readonly Way<Target>[];
  /** Calls with the same key go the same way. */
  readonly sticky: ((call: Call) => string) | undefined;
  /** What is done to the request's head. */
  readonly request: FieldEdits | undefined;
}

/** The routes of one upstream, the first that matches a call being the one. Immutable. */
export class RouteRules implements Explainer {
  private readonly rules: readonly RouteRule[];
  private readonly otherwise: Target;
  private readonly random: () => number;

  /** `otherwise`: where calls go that no rule matches. `random`: uniform in [0, 1). */
  constructor(rules: readonly RouteRule[], otherwise: Target, random: () => number) {
    this.rules = rules;
    this.otherwise = otherwise;
    this.random = random;
  }

  /** Where a call goes; its head is edited on the way. */
  choose(call: Call): Target {
    call.note("routes", this);
    for (const rule of this.rules) {
      if (!rule.matches(call)) continue;
      const key = rule.sticky?.(call);
      // A call without the key goes where the dice say: all of them one way would be no split.
      const point = key === undefined || key === "" ? this.random() : pointOf(key);
      const target = chooseWay(rule.ways, point) ?? this.otherwise;
      if (rule.request !== undefined) call.head = rule.request.apply(call.head);
      call.route = rule.name;
      return target;
    }
    return this.otherwise;
  }

  explain(call: Call): readonly Candidate[] {
    return this.rules.map((rule) => ({
      name: rule.name,
      verdict:
        rule.name === call.route ? "chosen" : rule.matches(call) ? "a route before it was chosen" : "does not match",
    }));
  }
}
