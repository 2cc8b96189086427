import type { Call } from "../http/call.ts";
import type { Candidate, Explainer } from "../http/decision.ts";
import type { Head, HeaderList } from "../http/headers.ts";
import { parseAuthority } from "./authority.ts";

/** Which upstream a call is for. */
export type Route =
  | { readonly kind: "upstream"; readonly name: string }
  /** A name that nobody declared but that may be looked up. */
  | { readonly kind: "lookup"; readonly name: string }
  | { readonly kind: "none"; readonly authority: string }
  | { readonly kind: "bad"; readonly why: string };

/** Which names there are. */
export interface RouteTableOptions {
  /** Declared upstreams and their further names. */
  readonly upstreams: readonly { readonly name: string; readonly hosts: readonly string[] }[];
  readonly suffixes: readonly string[];
  /** Globs of names that may be looked up. */
  readonly allow: readonly string[];
}

/** Lists whose route is remembered. */
const MEMORY = 2048;
/** One DNS label, RFC 1123 §2.1. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * From a request's head to its upstream, immutable: a new configuration has a new table. The answer is remembered for each
 * header list that fixes its `:authority`.
 */
export class RouteTable implements Explainer {
  private readonly hosts = new Map<string, Route>();
  private readonly names = new Map<string, Route>();
  private readonly suffixes: readonly string[];
  private readonly allow: readonly RegExp[];
  private readonly known = new Map<HeaderList, Route>();
  private lastList: HeaderList | undefined = undefined;
  private lastRoute: Route | undefined = undefined;

  constructor(options: RouteTableOptions) {
    for (const { name, hosts } of options.upstreams) {
      const route: Route = { kind: "upstream", name };
      this.names.set(name.toLowerCase(), route);
      for (const host of hosts) this.hosts.set(host.toLowerCase().replace(/\.$/, ""), route);
    }
    this.suffixes = options.suffixes.map((suffix) => `.${suffix.toLowerCase().replace(/^\.|\.$/g, "")}`);
    this.allow = options.allow.map(globToRegExp);
  }

  match(head: Head): Route {
    const { list } = head;
    if (list === this.lastList && this.lastRoute !== undefined) return this.lastRoute;
    let route = this.known.get(list);
    if (route === undefined) {
      route = this.matchAuthority(head.get(":authority") ?? head.get("host"));
      if (!list.kept || list.fields.some(({ name, slot }) => slot && (name === ":authority" || name === "host")))
        return route;
      if (this.known.size >= MEMORY) this.known.clear();
      this.known.set(list, route);
    }
    this.lastList = list;
    this.lastRoute = route;
    return route;
  }

  /** The names that an `:authority` was compared with, in that order, and what came of it. */
  explain(call: Call): readonly Candidate[] {
    const authority = parseAuthority(call.head.get(":authority") ?? call.head.get("host"));
    if (authority.kind === "bad") return [{ name: "authority", verdict: `malformed: ${authority.why}` }];
    const { host, port } = authority;
    const chosen = this.matchAuthority(port === "" ? host : `${host}:${port}`);
    const verdict = (route: Route | undefined): string => {
      if (route === undefined) return "nobody has that name";
      return route === chosen && route.kind === "upstream" ? `chosen: upstream ${route.name}` : "another came before";
    };
    const tried: Candidate[] = [];
    for (const name of port === "" ? [host] : [`${host}:${port}`, host])
      tried.push({ name: `hosts: ${name}`, verdict: verdict(this.hosts.get(name)) });
    if (authority.kind !== "ip")
      for (const name of this.bareNames(host))
        tried.push({ name: `upstreams: ${name}`, verdict: verdict(this.names.get(name)) });
    if (chosen.kind === "lookup") tried.push({ name: `names.onDemand: ${chosen.name}`, verdict: "chosen: looked up" });
    if (chosen.kind === "none") tried.push({ name: "names.onDemand", verdict: "the name may not be looked up" });
    return tried;
  }

  /** The route of an authority by itself: exact hosts, then names, then names with a suffix, then what may be looked up. */
  matchAuthority(text: string | undefined): Route {
    const authority = parseAuthority(text);
    if (authority.kind === "bad") return authority;
    const { host, port } = authority;
    const exact = (port === "" ? undefined : this.hosts.get(`${host}:${port}`)) ?? this.hosts.get(host);
    if (exact !== undefined) return exact;
    if (authority.kind === "ip") return { kind: "none", authority: host };
    const bare = this.bareNames(host);
    for (const name of bare) {
      const known = this.names.get(name);
      if (known !== undefined) return known;
    }
    for (const name of bare)
      if (LABEL.test(name) && this.allow.some((glob) => glob.test(name))) return { kind: "lookup", name };
    return { kind: "none", authority: host };
  }

  /** What a host may mean as the name of a service: itself, and itself without one of the suffixes. */
  private bareNames(host: string): string[] {
    return [host, ...this.suffixes.filter((end) => host.endsWith(end)).map((end) => host.slice(0, -end.length))];
  }
}

/** `*` stands for any characters of a label. */
function globToRegExp(glob: string): RegExp {
  return new RegExp(
    `^${glob
      .toLowerCase()
      .replace(/[.+?^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")}$`,
  );
}
