import { formatAddress } from "../core/address.ts";
import { badEndpoint } from "./bad-endpoint.ts";
import type { DiscoveryServices } from "./services.ts";
import type { EndpointSpec } from "./source.ts";

/** Drops the endpoints of one name that no call may go to, and says so once for each as long as it stays in the list. */
export class EndpointScreen {
  private readonly name: string;
  private readonly services: DiscoveryServices;
  private told: ReadonlySet<string> = new Set();

  constructor(name: string, services: DiscoveryServices) {
    this.name = name;
    this.services = services;
  }

  pass(specs: readonly EndpointSpec[]): EndpointSpec[] {
    const own = this.services.own();
    const bad = new Set<string>();
    const good = specs.filter((spec) => {
      const reason = badEndpoint(spec.address, own);
      if (reason === undefined) return true;
      bad.add(`${spec.id} ${reason}`);
      if (!this.told.has(`${spec.id} ${reason}`)) {
        const address = formatAddress(spec.address);
        this.services.log.warn(
          { reason: "BAD_ENDPOINT", upstream: this.name, endpoint: address },
          `endpoint ${address} of ${this.name} ${reason} and is not used`,
        );
      }
      return false;
    });
    this.told = bad;
    return good;
  }
}
