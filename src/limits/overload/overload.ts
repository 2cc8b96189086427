import {
  type OverloadAction,
  type OverloadOptions,
  type OverloadResource,
  overloadActions,
  overloadResources,
  type Thresholds,
} from "./options.ts";
import type { Resource, Resources } from "./resources.ts";

/** What was last seen of a resource. */
export interface ResourceState {
  readonly name: OverloadResource;
  readonly unit: Resource["unit"];
  readonly limit: number;
  readonly used: number;
  /** The share of the limit that is used, which may be more than all of it. */
  readonly pressure: number;
}

/** What is taken, or has been. */
export interface ActionState {
  readonly name: OverloadAction;
  /** Wall-clock milliseconds; undefined while it is not taken. */
  since: number | undefined;
  /** Which resource it is taken for, as it was seen last. */
  cause: ResourceState | undefined;
  /** From which share of the limit on. */
  threshold: number;
  /** How often it has begun. */
  times: number;
  /** Calls refused, connections asked to go, collections of garbage: what it came to, where that is counted here. */
  effects: number;
}

/** How much a call matters. */
export type Rank = "sheddable" | "ordinary" | "critical";

/** Which calls are refused: the more of these actions are taken, the more. */
const refusals: readonly OverloadAction[] = ["refuseSheddable", "refuseOrdinary", "refuseAll"];
const ranks: readonly Rank[] = ["sheddable", "ordinary", "critical"];

/**
 * What a thread does while the process, or the thread itself, comes near the end of what it has. Resources are looked at now and then;
 * whoever has a call asks for no more than a number or a word that the last look has left.
 *
 * Invariants:
 * - an action is taken while one resource is at its threshold or above, and until all are below it by `recovery`;
 * - what was counted, and what is taken, outlives other settings; they hold from the next look on.
 */
export class Overload {
  options: OverloadOptions;
  private readonly resources: Resources;
  private readonly wall: () => number;
  private readonly byName: Readonly<Record<OverloadAction, ActionState>>;
  /** What is watched, as it was seen last. */
  seen: readonly ResourceState[] = [];
  /** How many of the three kinds of calls are refused, from those that matter least on. */
  refusing = 0;
  /** Bodies of requests may be kept for further attempts. */
  keepsBodies = true;

  constructor(options: OverloadOptions, resources: Resources, wall: () => number) {
    this.options = options;
    this.resources = resources;
    this.wall = wall;
    const made = (name: OverloadAction): ActionState => {
      return { name, since: undefined, cause: undefined, threshold: 0, times: 0, effects: 0 };
    };
    this.byName = Object.fromEntries(overloadActions.map((name) => [name, made(name)])) as Record<
      OverloadAction,
      ActionState
    >;
  }

  get actions(): readonly ActionState[] {
    return Object.values(this.byName);
  }

  /** Whether it is taken now. */
  takes(name: OverloadAction): boolean {
    return this.byName[name].since !== undefined;
  }

  /** It has had an effect. */
  count(name: OverloadAction, times = 1): void {
    this.byName[name].effects += times;
  }

  /** What a call that matters so much is refused for; undefined: it is not. */
  refusalOf(rank: Rank): ActionState | undefined {
    const least = ranks.indexOf(rank);
    if (this.refusing <= least) return undefined;
    return refusals
      .slice(least)
      .map((name) => this.byName[name])
      .find(({ since }) => since !== undefined);
  }

  /** Looks at every resource; returns the actions that begin or end with it. */
  look(): readonly ActionState[] {
    this.seen = overloadResources.flatMap((name) => this.see(name) ?? []);
    const changed = this.actions.filter((action) => this.decide(action));
    this.refusing = refusals.findLastIndex((name) => this.takes(name)) + 1;
    this.keepsBodies = !this.takes("forgetBodies");
    return changed;
  }

  private see(name: OverloadResource): ResourceState | undefined {
    const resource = this.resources[name];
    const options = this.options[name];
    const limit = options?.limit ?? resource.limit;
    if (options === undefined || limit === undefined) {
      resource.rest?.();
      return undefined;
    }
    const used = resource.read();
    return { name, unit: resource.unit, limit, used, pressure: used / limit };
  }

  /** Whether it begins or ends. */
  private decide(action: ActionState): boolean {
    const { recovery } = this.options;
    const taken = action.since !== undefined;
    let cause: ResourceState | undefined;
    for (const state of this.seen) {
      const thresholds: Thresholds = this.options[state.name] ?? {};
      const threshold = thresholds[action.name] ?? 0;
      if (threshold === 0 || state.pressure < threshold - (taken ? recovery : 0)) continue;
      if (cause !== undefined && cause.pressure >= state.pressure) continue;
      cause = state;
      action.threshold = threshold;
    }
    if (cause !== undefined) action.cause = cause;
    if (taken === (cause !== undefined)) return false;
    action.since = taken ? undefined : this.wall();
    if (!taken) action.times++;
    return true;
  }

  /** Nothing is looked at any more. */
  close(): void {
    for (const name of overloadResources) this.resources[name].rest?.();
  }
}
