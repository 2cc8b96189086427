import { BlockList, isIP } from "node:net";
import { remembered } from "../core/remembered.ts";
import type { Call } from "../http/call.ts";
import type { Head } from "../http/headers.ts";
import { type CallToken, claimValues } from "../http/token.ts";
import { consulPattern, IdPattern, parseSpiffeId, placeOf, type SpiffeId } from "../identity/spiffe.ts";
import { pathReadings } from "./path-readings.ts";

/** What a rule is for. A condition that is absent holds for every call; of a list any has to hold, of the conditions all. */
export interface RuleOptions {
  readonly name: string;
  readonly mode: "enforce" | "shadow";
  /** Patterns of SPIFFE ids. Together with `services` one condition: who calls. */
  readonly identities: readonly string[] | undefined;
  /** Patterns of services in the own trust domain and namespace. */
  readonly services: readonly string[] | undefined;
  /** `*`, `package.Service/*` or `package.Service/Method`. */
  readonly methods: readonly string[] | undefined;
  readonly metadata: ReadonlyMap<string, string>;
  /** What the verified token of the call has to say, by claim; `*` for anything. */
  readonly claims: ReadonlyMap<string, string>;
  /** Networks. */
  readonly addresses: readonly string[] | undefined;
}

/** What a rule does with the calls that it is for. */
export type Effect = "allow" | "deny";

/** A rule of authorization, compiled once a configuration; asking it allocates nothing for a caller that it knows. */
export class Rule {
  readonly name: string;
  readonly effect: Effect;
  /** Whether it asks who calls. */
  readonly asksCaller: boolean;
  private readonly meansPath: (path: string) => boolean;
  private readonly metadata: readonly (readonly [name: string, value: string])[];
  private readonly claims: readonly (readonly [claim: string, value: string])[];
  private readonly isNear: ((peer: string) => boolean) | undefined;
  private readonly isMeant: ((identity: string) => boolean) | undefined;

  /** `own`: who this sidecar is; services are those beside it. */
  constructor(effect: Effect, options: RuleOptions, own: SpiffeId | undefined) {
    const { identities, services, methods, addresses, claims } = options;
    this.name = options.name;
    this.effect = effect;
    this.asksCaller = identities !== undefined || services !== undefined;
    this.meansPath = pathMatcher(methods, effect);
    this.metadata = [...options.metadata];
    this.claims = [...claims];
    this.isNear = addresses && remembered(addressMatcher(addresses));
    this.isMeant = this.asksCaller ? remembered(callerMatcher(identities ?? [], services ?? [], own)) : undefined;
  }

  /** Whether it is for calls like this one, whoever makes them. */
  meansCall(call: Call): boolean {
    return this.meansPath(call.path) && this.meansMetadata(call.head) && this.isNear?.(call.peer) !== false;
  }

  /** Whether it is for this caller. One without an identity is never meant where the rule asks for one. */
  meansCaller(identity: string | undefined): boolean {
    return this.isMeant === undefined || (identity !== undefined && this.isMeant(identity));
  }

  /** Whether it is for calls with this token. One without a token is never meant where the rule asks for claims. */
  meansToken(token: CallToken | undefined): boolean {
    if (this.claims.length === 0) return true;
    if (token === undefined) return false;
    for (const [claim, wanted] of this.claims) {
      const values = claimValues(token.claims, claim);
      if (wanted === "*" ? values.length === 0 : !values.includes(wanted)) return false;
    }
    return true;
  }

  private meansMetadata(head: Head): boolean {
    for (const [name, value] of this.metadata) if (!hasField(head, name, value, this.effect)) return false;
    return true;
  }
}

/**
 * Whether a field is there with a value, `*` for any. Of a field that is there several times, nobody knows which value the application
 * takes: to allow a call all of them have to be the one, to deny it any is enough.
 */
export function hasField(head: Head, name: string, value: string, effect: Effect): boolean {
  const { fields } = head.list;
  let slot = 0;
  let found = false;
  for (let at = 0; at < fields.length; at++) {
    const field = fields[at];
    if (field === undefined) break;
    const given = field.slot ? head.values[slot++] : field.value;
    if (field.name !== name) continue;
    const isRight = value === "*" || given === value;
    if (isRight && effect === "deny") return true;
    if (!isRight && effect === "allow") return false;
    found ||= isRight;
  }
  return found;
}

/**
 * Whether a path is one of some methods. A path that applications may read in several ways is denied as soon as one of them is, and
 * allowed when all are.
 */
function pathMatcher(methods: readonly string[] | undefined, effect: Effect): (path: string) => boolean {
  if (methods === undefined) return () => true;
  const matchers = methods.map(methodMatcher);
  const isMeant = (reading: string): boolean => matchers.some((means) => means(reading));
  return remembered((path) => {
    const readings = pathReadings(path);
    return effect === "deny" ? readings.some(isMeant) : readings.every(isMeant);
  });
}

/** As patterns of methods are elsewhere, but that `*` are all: a rule must not leave out health checks silently. For a reading of a path. */
export function methodMatcher(pattern: string): (path: string) => boolean {
  if (pattern === "*") return () => true;
  const whole = `/${pattern}`;
  if (!pattern.endsWith("/*")) return (path) => path === whole;
  const service = whole.slice(0, -1);
  return (path) => path.startsWith(service);
}

function addressMatcher(networks: readonly string[]): (peer: string) => boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", prefix] = network.split("/");
    const isV6 = isIP(address) === 6;
    list.addSubnet(address, Number(prefix ?? (isV6 ? 128 : 32)), isV6 ? "ipv6" : "ipv4");
  }
  return (peer) => {
    const host = peer.slice(0, peer.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1");
    const family = isIP(host);
    return family !== 0 && list.check(host, family === 6 ? "ipv6" : "ipv4");
  };
}

function callerMatcher(
  identities: readonly string[],
  services: readonly string[],
  own: SpiffeId | undefined,
): (identity: string) => boolean {
  const patterns = identities.map((text) => {
    const pattern = IdPattern.parse(text);
    if (typeof pattern === "string") throw new Error(`${text} is no SPIFFE id: ${pattern}`);
    return pattern;
  });
  // Without an own identity nobody else has one that was verified.
  if (own !== undefined) for (const service of services) patterns.push(consulPattern(service, placeOf(own)));
  return (identity) => {
    const id = parseSpiffeId(identity);
    return typeof id !== "string" && patterns.some((pattern) => pattern.matches(id));
  };
}
