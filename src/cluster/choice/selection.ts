import type { Call } from "../../http/call.ts";
import type { PickContext, Picker, PickerTools } from "../balancer.ts";
import type { Endpoint } from "../endpoint.ts";
import type { ClusterPolicy } from "../policy.ts";
import { tokenIn } from "./affinity.ts";
import { AperturePicker, within } from "./aperture.ts";
import { hashKey } from "./hash-key.ts";
import { LevelPicker, levelsOf, sharesOf } from "./levels.ts";
import { fits, isInService, MAX_SUBSETS, wantedBy } from "./subsets.ts";

/** The whole set, beside subsets that calls ask for. */
const WHOLE = "";

/**
 * Who of a cluster's endpoints may get a call, and who does: subsets, then levels of preference, then the balancer, each only
 * where it is configured.
 *
 * Invariant: pickers know exactly the endpoints that were usable at the last `update`, or, in panic, that took connections.
 */
export class Selection {
  /** So few are usable that health is ignored. */
  panic = false;
  private policy: ClusterPolicy;
  private tools: PickerTools;
  private readonly time: () => number;
  private endpoints: readonly Endpoint[] = [];
  private isUsable: (endpoint: Endpoint) => boolean = () => false;
  private whole: Picker | undefined = undefined;
  private readonly subsets = new Map<string, Picker>();
  /** Pickers by subset and level, for their successors to go on from. */
  private pickers = new Map<string, Picker>();
  private before = new Map<string, Picker>();
  private byToken = new Map<string, Endpoint>();
  private readonly random: () => number;
  private readonly own: (() => string | undefined) | undefined;
  private readonly race: PickerTools["race"];
  /** What makes this sidecar's choice of endpoints another one than others'. */
  private seed: number | undefined = undefined;

  /** `race`: see `PickerTools`. `own`: the identity that callers have who come without one. */
  constructor(
    policy: ClusterPolicy,
    random: () => number,
    time: () => number,
    race: PickerTools["race"],
    own?: () => string | undefined,
  ) {
    this.policy = policy;
    this.random = random;
    this.time = time;
    this.own = own;
    this.race = race;
    this.tools = this.toolsOf(policy);
  }

  /** Chooses by another policy from the next `update` on. */
  use(policy: ClusterPolicy): void {
    if (policy.balancer !== this.policy.balancer) this.pickers.clear();
    this.policy = policy;
    this.tools = this.toolsOf(policy);
  }

  /** The endpoints, or what is true of one, have changed. */
  update(all: Iterable<Endpoint>): void {
    const { subsets, affinity, panicThreshold } = this.policy;
    this.endpoints = [...all].filter((endpoint) => isInService(endpoint, subsets));
    const up = this.endpoints.filter(({ state }) => state.kind === "up");
    const usable = up.filter((endpoint) => endpoint.usable).length;
    this.panic = usable < up.length && usable < up.length * panicThreshold;
    this.isUsable = this.panic ? ({ state }) => state.kind === "up" : (endpoint) => endpoint.usable;
    this.before = this.pickers;
    this.pickers = new Map();
    this.subsets.clear();
    this.whole = this.picker(WHOLE, this.endpoints);
    if (affinity !== undefined)
      this.byToken = new Map(this.endpoints.filter(this.isUsable).map((endpoint) => [endpoint.token, endpoint]));
  }

  /** The endpoint for a call, or undefined where no usable one is for it. */
  pick(context: PickContext): Endpoint | undefined {
    const { affinity, subsets } = this.policy;
    if (affinity === undefined && subsets === undefined) return this.whole?.pick(context);
    const wanted = this.wanted(context.call);
    if (affinity !== undefined) {
      const token = tokenIn(context.call.head, affinity);
      const kept = token === undefined ? undefined : this.byToken.get(token);
      if (kept !== undefined && context.tried?.includes(kept) !== true && fits(kept, wanted)) return kept;
    }
    if (wanted === WHOLE) return this.whole?.pick(context);
    const found = this.subset(wanted)?.pick(context);
    return found ?? (subsets?.otherwise === "any" ? this.whole?.pick(context) : undefined);
  }

  /** Whether calls go to an endpoint now. */
  mayGet(endpoint: Endpoint): boolean {
    return this.isUsable(endpoint) && isInService(endpoint, this.policy.subsets);
  }

  /** Whether a call may go to an endpoint, as far as its meta goes. */
  mayServe(endpoint: Endpoint, call: Call): boolean {
    if (this.policy.subsets === undefined) return true;
    return (
      isInService(endpoint, this.policy.subsets) &&
      (this.policy.subsets.otherwise === "any" || fits(endpoint, this.wanted(call)))
    );
  }

  private toolsOf({ hash, choices, maxLoad, order }: ClusterPolicy): PickerTools {
    const { random, time: now, race } = this;
    return { random, now, hash: hashKey(hash, this.own), choices, maxLoad, shuffled: order === "shuffled", race };
  }

  private ownSeed(): number {
    this.seed ??= Math.floor(this.random() * 2 ** 32);
    return this.seed;
  }

  private wanted(call: Call): string {
    const { subsets } = this.policy;
    return subsets === undefined ? WHOLE : wantedBy(call, subsets);
  }

  private subset(wanted: string): Picker | undefined {
    const known = this.subsets.get(wanted);
    if (known !== undefined) return known;
    const endpoints = this.endpoints.filter((endpoint) => fits(endpoint, wanted));
    if (endpoints.length === 0) return undefined;
    const picker = this.picker(wanted, endpoints);
    if (this.subsets.size < MAX_SUBSETS) this.subsets.set(wanted, picker);
    return picker;
  }

  private picker(subset: string, endpoints: readonly Endpoint[]): Picker {
    const { balancer, levels: settings, aperture } = this.policy;
    const levels = levelsOf(endpoints, this.isUsable, settings);
    const pickers = levels.map(({ usable }, at) => {
      const key = `${subset}/${at}`;
      const called = aperture === undefined ? usable : within(usable, aperture, this.ownSeed());
      const picker = balancer.picker(called, this.tools, this.before.get(key));
      this.pickers.set(key, picker);
      return called === usable ? picker : new AperturePicker(picker, usable, this.random);
    });
    const [only] = pickers;
    if (only === undefined) return balancer.picker([], this.tools, this.before.get(`${subset}/0`));
    return pickers.length === 1
      ? only
      : new LevelPicker(pickers, sharesOf(levels, settings.spillBelow), settings.spillAbove, this.random);
  }
}
