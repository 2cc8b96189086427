import type { Logger } from "pino";
import type { RouteConfig } from "../../config/types.ts";
import type { Clock } from "../../core/clock.ts";
import { SparingLog } from "../../core/sparing-log.ts";
import { compileMatch } from "../../http/call-match.ts";
import { type FieldEditOptions, FieldEdits } from "../../http/field-edits.ts";
import type { HeaderTable } from "../../http/headers.ts";
import { reader } from "../../limits/call-key.ts";
import { Mirror } from "../../proxy/mirror.ts";
import { type RouteRule, RouteRules } from "../../proxy/route-rules.ts";
import type { Target } from "../../proxy/target.ts";

/** What routes are made with. */
export interface RouteSurroundings {
  readonly headers: HeaderTable;
  readonly clock: Clock;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** A declared upstream, as its own calls see it. */
  readonly target: (name: string) => Target | undefined;
  /** The same upstream under what a route says otherwise. */
  readonly targetOfRoute: (name: string, route: RouteConfig) => Target | undefined;
}

/** The routes of a configuration, by upstream; what mirrors have counted is kept by the name of their route. */
export class Routes {
  private byUpstream = new Map<string, RouteRules>();
  private mirrors = new Map<string, Mirror>();
  private differences: SparingLog | undefined = undefined;

  /** Goes over to other routes, or to the same over upstreams that have changed. */
  apply(routes: readonly RouteConfig[], surroundings: RouteSurroundings): void {
    const before = this.mirrors;
    this.mirrors = new Map();
    const rules = new Map<string, RouteRule[]>();
    for (const route of routes) {
      const mirror = this.mirrorOf(route, before.get(route.name), surroundings);
      if (mirror !== undefined) this.mirrors.set(route.name, mirror);
      rules.set(route.upstream, [...(rules.get(route.upstream) ?? []), ruleOf(route, mirror, surroundings)]);
    }
    this.byUpstream = new Map();
    for (const [upstream, list] of rules) {
      const otherwise = surroundings.target(upstream);
      if (otherwise !== undefined) this.byUpstream.set(upstream, new RouteRules(list, otherwise, surroundings.random));
    }
  }

  of(upstream: string): RouteRules | undefined {
    return this.byUpstream.get(upstream);
  }

  allMirrors(): Iterable<Mirror> {
    return this.mirrors.values();
  }

  private mirrorOf(
    { name, mirror }: RouteConfig,
    before: Mirror | undefined,
    { random, target, log, clock }: RouteSurroundings,
  ): Mirror | undefined {
    if (mirror === undefined) return undefined;
    this.differences ??= new SparingLog(log, "info", "a mirrored call was answered otherwise than the call", clock);
    const { differences } = this;
    return new Mirror(name, mirror, { target: () => target(mirror.to), random, differences }, before);
  }
}

function ruleOf(route: RouteConfig, mirror: Mirror | undefined, surroundings: RouteSurroundings): RouteRule {
  const { headers, targetOfRoute } = surroundings;
  const response = editsOf(headers, route.response);
  const ways = route.split.length > 0 ? route.split : [{ to: route.to ?? route.upstream, share: 1 }];
  return {
    name: route.name,
    matches: compileMatch({ ...route.match, upstream: undefined }),
    ways: ways.flatMap(({ to, share }) => {
      const target = targetOfRoute(to, route);
      return target === undefined ? [] : [{ share, to: { ...target, response, mirror } }];
    }),
    sticky: route.stickyBy === undefined ? undefined : reader(route.stickyBy),
    request: editsOf(headers, route.request),
  };
}

function editsOf(headers: HeaderTable, edits: FieldEditOptions): FieldEdits | undefined {
  const nothing = edits.set.size + edits.add.size + edits.remove.length === 0;
  return nothing ? undefined : new FieldEdits(headers, edits);
}
