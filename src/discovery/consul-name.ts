/** What is asked of Consul for an upstream. */
export type ConsulQuestion =
  /** The instances of a service; undefined: in the agent's own data centre, or the configured one. */
  | { readonly kind: "service"; readonly service: string; readonly datacenter: string | undefined }
  /** A prepared query, by name or id: Consul itself says which instances of which data centre. */
  | { readonly kind: "query"; readonly query: string };

/** As one name, by which watches are shared and answers remembered. No service is called so. */
export function consulName(question: ConsulQuestion): string {
  if (question.kind === "query") return `query:${question.query}`;
  return question.datacenter === undefined ? question.service : `${question.service}@${question.datacenter}`;
}

/** The way back. */
export function consulQuestion(name: string): ConsulQuestion {
  if (name.startsWith("query:")) return { kind: "query", query: name.slice("query:".length) };
  const at = name.indexOf("@");
  if (at < 0) return { kind: "service", service: name, datacenter: undefined };
  return { kind: "service", service: name.slice(0, at), datacenter: name.slice(at + 1) };
}
