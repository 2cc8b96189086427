import { entriesIn, field, listIn, numberIn, textIn } from "../../../core/json-field.ts";
import type { CompileRegex } from "../../../core/regex.ts";
import type { Chain, ChainRoute, ChainTarget, ChainWay, Refuse } from "./chain.ts";
import { noEdits, readEdits } from "./edits-reader.ts";
import { readRouteDefinition, WHOLE_MATCH } from "./route-reader.ts";
import { readTargets } from "./target-reader.ts";

/** What a chain is read with. */
export interface ChainReading {
  /** The data centre that was asked for, where that is not the agent's own or the configured one. */
  readonly datacenter?: string | undefined;
  /** What regular expressions are looked at by; without it none is. */
  readonly regex?: CompileRegex | undefined;
}

/** Reads the `Chain` of an answer of /v1/discovery-chain, or says what is wrong with it. */
export function readChain(text: string, { datacenter, regex }: ChainReading = {}): Chain | string {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  const chain = field(body, "Chain");
  const start = textIn(chain, "StartNode");
  if (start === undefined) return "it has no Chain.StartNode";
  const problems: string[] = [];
  const refuse: Refuse = (where, why) => void problems.push(`${where}: ${why}`);
  const nodes = new Map(entriesIn(chain, "Nodes"));
  const targets = readTargets(chain, nodes, { datacenter, refuse });
  if (typeof targets === "string") return targets;
  const reader = new Reader(nodes, targets, { regex, refuse });
  try {
    const routes = reader.routes(start);
    return {
      protocol: textIn(chain, "Protocol") ?? "tcp",
      isDefault: field(chain, "Default") === true,
      routes,
      targets,
      // What a resolver says stands under each of its subsets.
      problems: [...new Set(problems)],
    };
  } catch (error) {
    if (error instanceof Malformed) return error.message;
    throw error;
  }
}

class Malformed extends Error {}

/** A chain is shallow: a router, splitters that Consul has made one of, resolvers. */
const DEEPEST = 16;

class Reader {
  private readonly nodes: ReadonlyMap<string, unknown>;
  private readonly targets: ReadonlyMap<string, ChainTarget>;
  private readonly refuse: Refuse;
  private readonly regex: CompileRegex | undefined;

  constructor(
    nodes: ReadonlyMap<string, unknown>,
    targets: ReadonlyMap<string, ChainTarget>,
    { regex, refuse }: { readonly regex: CompileRegex | undefined; readonly refuse: Refuse },
  ) {
    this.nodes = nodes;
    this.targets = targets;
    this.regex = regex;
    this.refuse = refuse;
  }

  routes(start: string): ChainRoute[] {
    const node = this.node(start);
    if (field(node, "Type") !== "router") {
      const none = { rewrite: undefined, timeout: undefined, idleTimeout: undefined, retry: undefined };
      const ways = this.ways(start, 0);
      return [{ name: "", match: WHOLE_MATCH, ways, ...none, request: noEdits, response: noEdits }];
    }
    const router = serviceOf(node);
    return listIn(node, "Routes").flatMap((route, at) => {
      const name = `Routes[${at}]`;
      const refuse: Refuse = (where, why) => this.refuse(`service-router ${router}: ${name}.${where}`, why);
      const definition = readRouteDefinition(field(route, "Definition"), this.regex, refuse);
      if (definition === undefined) return [];
      return { name, ways: this.ways(textIn(route, "NextNode") ?? "", 0), ...definition };
    });
  }

  /** Where calls go from a splitter or a resolver; shares sum to 1. */
  private ways(name: string, depth: number): ChainWay[] {
    const node = this.node(name);
    if (depth > DEEPEST) throw new Malformed(`Chain.Nodes go round in a circle at ${name}`);
    switch (field(node, "Type")) {
      case "splitter":
        return this.split(node, depth);
      case "resolver": {
        const target = textIn(field(node, "Resolver"), "Target") ?? "";
        if (!this.targets.has(target)) throw new Malformed(`Chain.Nodes[${name}] leads to no target`);
        return [{ share: 1, target, request: noEdits, response: noEdits }];
      }
      default:
        throw new Malformed(`Chain.Nodes[${name}] is of no known type`);
    }
  }

  private split(node: unknown, depth: number): ChainWay[] {
    const splits = listIn(node, "Splits");
    const sum = splits.reduce<number>((all, split) => all + (numberIn(split, "Weight") ?? 0), 0);
    if (!(sum > 0)) throw new Malformed(`the splitter ${serviceOf(node)} has no weights`);
    return splits.flatMap((split, at) => {
      const definition = field(split, "Definition");
      const place = `service-splitter ${serviceOf(node)}: Splits[${at}]`;
      const request = readEdits(definition, "RequestHeaders", (where, why) => this.refuse(`${place}.${where}`, why));
      const response = readEdits(definition, "ResponseHeaders", (where, why) => this.refuse(`${place}.${where}`, why));
      const share = (numberIn(split, "Weight") ?? 0) / sum;
      // Consul has made one of splitters that follow each other; their edits are then the last one's.
      const ways = this.ways(textIn(split, "NextNode") ?? "", depth + 1);
      return ways.map((way) => ({ ...way, share: way.share * share, request, response }));
    });
  }

  private node(name: string): unknown {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Malformed(`Chain.Nodes has no ${name}`);
    return node;
  }
}

/** Nodes are called SERVICE.NAMESPACE.PARTITION. */
function serviceOf(node: unknown): string {
  return (textIn(node, "Name") ?? "").split(".").slice(0, -2).join(".");
}
