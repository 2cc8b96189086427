/** What is asked of Consul for an upstream. */
export type ConsulQuestion =
  /** The instances of a service; undefined: in the agent's own data centre, or the configured one. */
  | {
      readonly kind: "service";
      readonly service: string;
      readonly datacenter: string | undefined;
      readonly subset?: Subset;
    }
  /** A prepared query, by name or id: Consul itself says which instances of which data centre. */
  | { readonly kind: "query"; readonly query: string }
  /** How the calls of a service are routed, by its compiled discovery chain. */
  | { readonly kind: "chain"; readonly service: string; readonly datacenter: string | undefined };

/** Which of the instances, in words that Consul itself judges by. */
export interface Subset {
  /** An expression of go-bexpr; "": all of them. */
  readonly filter: string;
  /** `any`: those with a warning as well. */
  readonly health: "passing" | "any";
}

const QUERY = "query:";
const CHAIN = "chain:";

/** As one name, by which watches are shared and answers remembered. No service is called so. */
export function consulName(question: ConsulQuestion): string {
  if (question.kind === "query") return QUERY + question.query;
  const { service, datacenter } = question;
  const place = datacenter === undefined ? service : `${service}@${datacenter}`;
  if (question.kind === "chain") return CHAIN + place;
  const { subset } = question;
  if (subset === undefined) return place;
  return `${place}${subset.health === "any" ? " any" : ""} where ${subset.filter}`;
}

/** The way back. */
export function consulQuestion(name: string): ConsulQuestion {
  if (name.startsWith(QUERY)) return { kind: "query", query: name.slice(QUERY.length) };
  if (name.startsWith(CHAIN)) return { kind: "chain", ...placeOf(name.slice(CHAIN.length)) };
  const [, place = name, any, filter] = /^(\S*?)( any)? where (.*)$/s.exec(name) ?? [];
  const question = { kind: "service", ...placeOf(place) } as const;
  if (filter === undefined) return question;
  return { ...question, subset: { filter, health: any === undefined ? "passing" : "any" } };
}

function placeOf(text: string): { readonly service: string; readonly datacenter: string | undefined } {
  const at = text.indexOf("@");
  if (at < 0) return { service: text, datacenter: undefined };
  return { service: text.slice(0, at), datacenter: text.slice(at + 1) };
}
