import { durationIn, field, listIn, numberIn, textIn } from "../../../core/json-field.ts";
import { consulName } from "../name.ts";
import type { ChainBalancing, ChainTarget, HashPolicy, Refuse } from "./chain.ts";

interface Asked {
  readonly datacenter: string | undefined;
  readonly refuse: Refuse;
}

/** The targets of a chain with what its resolvers say of them. A string says what is wrong. */
export function readTargets(
  chain: unknown,
  nodes: ReadonlyMap<string, unknown>,
  asked: Asked,
): ReadonlyMap<string, ChainTarget> | string {
  const resolvers = new Map<string, unknown>();
  for (const node of nodes.values()) {
    const target = textIn(field(node, "Resolver"), "Target");
    if (field(node, "Type") === "resolver" && target !== undefined) resolvers.set(target, node);
  }
  const targets = new Map<string, ChainTarget>();
  const listed = field(chain, "Targets");
  if (typeof listed !== "object" || listed === null) return "it has no Chain.Targets";
  for (const [id, target] of Object.entries(listed)) {
    const service = textIn(target, "Service");
    if (service === undefined) return `Chain.Targets[${id}] has no Service`;
    const { label, lookup } = placeOf(target, chain, asked);
    const obstacle = obstacleTo(service, target, chain);
    if (obstacle !== undefined) asked.refuse(`service-resolver: target ${id}`, obstacle);
    targets.set(id, {
      label,
      service,
      lookup: obstacle === undefined ? lookup : undefined,
      ...resolved(id, target, resolvers.get(id), asked.refuse),
    });
  }
  return targets;
}

/** Which instances a target has, and what it is called. */
function placeOf(target: unknown, chain: unknown, asked: Asked): { readonly label: string; readonly lookup: string } {
  const service = textIn(target, "Service") ?? "";
  const there = textIn(target, "Datacenter");
  const datacenter = there === textIn(chain, "Datacenter") ? asked.datacenter : there;
  const name = textIn(target, "ServiceSubset");
  const subset = field(target, "Subset");
  const health = field(subset, "OnlyPassing") === true ? "passing" : "any";
  const filter = textIn(subset, "Filter") ?? "";
  const question = { kind: "service", service, datacenter } as const;
  return {
    label: `${name === undefined ? "" : `${name}.`}${service}${datacenter === undefined ? "" : `@${datacenter}`}`,
    lookup: consulName(name === undefined ? question : { ...question, subset: { filter, health } }),
  };
}

function obstacleTo(service: string, target: unknown, chain: unknown): string | undefined {
  const peer = textIn(target, "Peer");
  if (peer !== undefined) return `instances of the peer ${peer} are reached through mesh gateways only`;
  if (/[@ :]/.test(service)) return `${service} cannot be asked for`;
  const isElsewhere = (key: string): boolean => textIn(target, key) !== textIn(chain, key);
  if (isElsewhere("Namespace") || isElsewhere("Partition")) return "another namespace or partition is not asked";
  const mode = textIn(field(target, "MeshGateway"), "Mode");
  return mode === undefined || mode === "none"
    ? undefined
    : `MeshGateway.Mode ${mode}: there are no mesh gateways here`;
}

function resolved(
  id: string,
  target: unknown,
  node: unknown,
  refuse: Refuse,
): Pick<ChainTarget, "connectTimeout" | "requestTimeout" | "failover" | "balancing"> {
  const resolver = field(node, "Resolver");
  const failover = field(resolver, "Failover");
  const mode = textIn(field(failover, "Policy"), "Mode");
  const place = `service-resolver ${textIn(target, "Service") ?? ""}`;
  if (mode !== undefined && mode !== "sequential")
    refuse(`${place}: Failover.Policy.Mode`, `${mode}: targets are taken in their order`);
  const locality = textIn(field(target, "PrioritizeByLocality") ?? field(resolver, "PrioritizeByLocality"), "Mode");
  if (locality !== undefined && locality !== "none")
    refuse(`${place}: PrioritizeByLocality`, "upstreams.NAME.zones says which endpoints go first");
  return {
    connectTimeout: durationIn(resolver, "ConnectTimeout") ?? durationIn(target, "ConnectTimeout"),
    requestTimeout: durationIn(resolver, "RequestTimeout"),
    failover: listIn(failover, "Targets")
      .map(String)
      .filter((other) => other !== id),
    balancing: readBalancing(field(node, "LoadBalancer"), (where, why) =>
      refuse(`${place}: LoadBalancer${where}`, why),
    ),
  };
}

const POLICIES: Readonly<Record<string, ChainBalancing["policy"]>> = {
  round_robin: "roundRobin",
  least_request: "leastRequest",
  ring_hash: "ringHash",
  maglev: "maglev",
  random: "random",
};

function readBalancing(balancer: unknown, refuse: Refuse): ChainBalancing | undefined {
  const word = textIn(balancer, "Policy");
  if (word === undefined) return undefined;
  const policy = POLICIES[word];
  if (policy === undefined) {
    refuse(".Policy", `there is no ${word}`);
    return undefined;
  }
  const ring = field(balancer, "RingHashConfig");
  if (numberIn(ring, "MinimumRingSize") !== undefined || numberIn(ring, "MaximumRingSize") !== undefined)
    refuse(".RingHashConfig", "the ring has 256 points for the lightest endpoint, 131072 at most");
  const choices = numberIn(field(balancer, "LeastRequestConfig"), "ChoiceCount") ?? 2;
  return { policy, choices, hash: readHash(balancer, refuse) };
}

const HASHED: Readonly<Record<string, HashPolicy["from"]>> = {
  header: "header",
  cookie: "cookie",
  query_parameter: "query",
};

function readHash(balancer: unknown, refuse: Refuse): HashPolicy[] {
  return listIn(balancer, "HashPolicies").flatMap((policy, at): HashPolicy[] => {
    const terminal = field(policy, "Terminal") === true;
    if (field(policy, "SourceIP") === true) return [{ from: "source", name: "", terminal }];
    const name = textIn(policy, "FieldValue") ?? "";
    const kind = textIn(policy, "Field") ?? "none";
    const from = HASHED[kind];
    if (from === undefined) {
      refuse(`.HashPolicies[${at}].Field`, `there is no ${kind}`);
      return [];
    }
    const cookie = field(policy, "CookieConfig");
    if (numberIn(cookie, "TTL") !== undefined || field(cookie, "Session") === true) {
      const why = "a cookie is read, and none is set: upstreams.NAME.affinity does that";
      refuse(`.HashPolicies[${at}].CookieConfig`, why);
    }
    return [{ from, name: from === "header" ? name.toLowerCase() : name, terminal }];
  });
}
