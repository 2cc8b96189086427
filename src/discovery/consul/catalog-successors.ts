import { formatAddress } from "../../core/address.ts";
import type { EndpointSpec } from "../source.ts";
import type { ConsulClient, RequestLimits } from "./client.ts";
import { consulQuestion } from "./name.ts";
import type { CatalogService } from "./node-services.ts";

/** Nodes that are asked about at most: a question each. */
const MAX_NODES = 8;

/**
 * Which service the catalog has now at the addresses of a list that is not its own any more: HOST:PORT to name. Nodes that
 * cannot be asked about say nothing.
 */
export async function catalogSuccessors(
  client: ConsulClient,
  name: string,
  endpoints: readonly EndpointSpec[],
  limits: RequestLimits,
): Promise<ReadonlyMap<string, string>> {
  const question = consulQuestion(name);
  // A prepared query may have found any service, in any data centre.
  if (question.kind !== "service") return new Map();
  const { service: asked, datacenter } = question;
  // The id of an endpoint begins with its node.
  const nodes = new Set(endpoints.map(({ id }) => id.slice(0, id.indexOf("/"))));
  const lists = await Promise.all(
    [...nodes].slice(0, MAX_NODES).map((node) => client.servicesOf(node, limits, datacenter).catch(() => [])),
  );
  const services = lists.flat();
  const successors = new Map<string, string>();
  for (const { address } of endpoints) {
    const label = formatAddress(address);
    const there = services.filter((service) => formatAddress(service.address) === label);
    const own = there.find((service) => service.name === asked);
    const other = there.find(
      (service) => service.name !== asked && (own === undefined || isThereInstead(service, own)),
    );
    if (other !== undefined) successors.set(label, other.name);
  }
  return successors;
}

/** A sidecar fronts one service: of two at one address the one that registered last is there. */
function isThereInstead(other: CatalogService, own: CatalogService): boolean {
  return other.isSidecar && own.isSidecar && other.modifyIndex > own.modifyIndex;
}
