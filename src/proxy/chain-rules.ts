import type { Call } from "../http/call.ts";
import type { Candidate, Explainer } from "../http/decision.ts";
import type { HeadEdit } from "../http/field-edits.ts";
import { chooseWay, type Way } from "../routing/split.ts";
import type { Target } from "./target.ts";

/** A route of a chain, as calls meet it. */
export interface ChainRule {
  readonly name: string;
  readonly matches: (call: Call) => boolean;
  readonly ways: readonly Way<ChainLeg>[];
}

/** Where a way of a chain leads. */
export class ChainLeg {
  /** What is done to the head of the request. */
  readonly request: HeadEdit | undefined;
  private readonly make: (base: Target) => Target;
  private lastBase: Target | undefined = undefined;
  private last: Target | undefined = undefined;
  private readonly made = new Map<Target, Target>();

  /** `make`: a call's target, made of the one that it would have without a chain. */
  constructor(make: (base: Target) => Target, request: HeadEdit | undefined) {
    this.make = make;
    this.request = request;
  }

  /** Bases are the upstream's own target, and one for each route of the configuration. */
  over(base: Target): Target {
    if (base === this.lastBase && this.last !== undefined) return this.last;
    const target = this.made.get(base) ?? this.make(base);
    this.made.set(base, target);
    this.lastBase = base;
    this.last = target;
    return target;
  }
}

/** How a discovery source routes the calls of an upstream. Immutable. */
export class ChainRules implements Explainer {
  private readonly rules: readonly ChainRule[];
  private readonly random: () => number;

  /** `random`: uniform in [0, 1). */
  constructor(rules: readonly ChainRule[], random: () => number) {
    this.rules = rules;
    this.random = random;
  }

  /** Where a call goes; its head is edited on the way. `base`: where it would go without a chain. */
  choose(call: Call, base: Target): Target {
    call.note("routes", this);
    for (const rule of this.rules) {
      if (!rule.matches(call)) continue;
      const leg = rule.ways.length === 1 ? rule.ways[0]?.to : chooseWay(rule.ways, this.random());
      if (leg === undefined) return base;
      call.route ||= rule.name;
      if (leg.request !== undefined) call.head = leg.request.apply(call.head);
      return leg.over(base);
    }
    return base;
  }

  explain(call: Call): readonly Candidate[] {
    const chosen = this.rules.find((rule) => rule.matches(call));
    return this.rules.map((rule) => ({
      name: rule.name === "" ? "all calls" : rule.name,
      verdict: rule === chosen ? "chosen" : rule.matches(call) ? "a route before it was chosen" : "does not match",
    }));
  }
}
