import type { Address } from "../core/address.ts";
import { type Call, failure } from "../http/call.ts";
import type { RouteTable } from "../routing/route-table.ts";
import { Acceptor, type AcceptorOptions } from "./acceptor.ts";
import type { Exchange } from "./exchange.ts";
import { mismatch, type Resolution, type Router, type Target } from "./target.ts";

/** What of the configuration an outbound call needs; asked for each call, so that a change holds from the next one on. */
export interface OutboundRules {
  readonly routes: RouteTable;
  /** Whether any upstream speaks HTTP/1.1. */
  readonly http1: boolean;
  /** A declared upstream. */
  target(name: string): Target | undefined;
  /** The same, for a call of it: its routes may lead elsewhere. */
  targetFor(name: string, call: Call): Target | undefined;
  /** A name that nobody declared but that may be looked up. */
  lookup(name: string): Resolution;
  /** Where a captured connection was going, for calls that name no upstream; undefined: they may not go there. */
  elsewhere(destination: Address, protocol: Call["protocol"]): Resolution | undefined;
}

/**
 * The application's own calls on their way out: accept, route by `:authority`, and let the exchange do the rest.
 * `fixed`: the upstream of a listener of its own, whatever the `:authority` says.
 */
export class Outbound extends Acceptor implements Router {
  private readonly rules: () => OutboundRules;
  /** In force from the next call on. */
  fixed: string | undefined;

  constructor(options: AcceptorOptions, rules: () => OutboundRules, fixed?: string) {
    super(options);
    this.rules = rules;
    this.fixed = fixed;
  }

  protected override onCall(exchange: Exchange): void {
    exchange.begin(this);
  }

  get isFixed(): boolean {
    return this.fixed !== undefined;
  }

  resolve(call: Call): Resolution {
    const rules = this.rules();
    if (this.fixed !== undefined) {
      call.note("routes", `the listener ${this.fixed} has of its own`);
      return declared(rules, this.fixed, call);
    }
    call.note("routes", rules.routes);
    const route = rules.routes.match(call.head);
    switch (route.kind) {
      case "upstream":
        return declared(rules, route.name, call);
      case "lookup":
        // What nobody has declared speaks HTTP/2.
        if (call.protocol === "http2") return rules.lookup(route.name);
        return elsewhere(rules, call) ?? failed("NO_ROUTE", `no upstream ${route.name} that speaks http1 is declared`);
      case "none":
        return (
          elsewhere(rules, call) ??
          failed("NO_ROUTE", `no upstream is called ${route.authority}, and it may not be looked up`)
        );
      case "bad":
        return failed("BAD_AUTHORITY", `the :authority is malformed: ${route.why}`);
    }
  }
}

function declared(rules: OutboundRules, name: string, call: Call): Resolution {
  const target = rules.targetFor(name, call);
  if (target === undefined) return failed("NO_ROUTE", `the upstream ${name} is no longer configured`);
  return mismatch(call, target) ?? onward(target, call);
}

function onward(target: Target, call: Call): Resolution {
  return target.onward?.resolve(call, target) ?? { kind: "target", target };
}

function failed(reason: "NO_ROUTE" | "BAD_AUTHORITY", detail: string): Resolution {
  return { kind: "failed", failure: failure(reason, detail) };
}

function elsewhere(rules: OutboundRules, call: Call): Resolution | undefined {
  const { destination } = call;
  const found = destination === undefined ? undefined : rules.elsewhere(destination, call.protocol);
  return found?.kind === "target" ? (mismatch(call, found.target) ?? onward(found.target, call)) : found;
}

/** Where calls of one upstream go, whatever they say. */
export function routerTo(name: string, rules: () => OutboundRules): Router {
  return { isFixed: true, resolve: (call) => declared(rules(), name, call) };
}
