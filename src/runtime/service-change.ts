import { isDeepStrictEqual } from "node:util";
import type { Config, ServiceConfig } from "../config/types.ts";
import { connectUse } from "./connect-use.ts";

/**
 * Where the service is published, before and after a change: in the same place by the same means, in the same place with other
 * credentials, or elsewhere.
 */
export type Place = "same" | "credentials" | "elsewhere";

/** Whether two configurations publish the service in the same place. */
export function samePlace(one: Config, other: Config): Place {
  const [before, after] = [one.discovery, other.discovery];
  if (before.default !== after.default) return "elsewhere";
  switch (after.default) {
    case "consul": {
      const isNative = connectUse(one)?.native === connectUse(other)?.native;
      if (isDeepStrictEqual(before.consul, after.consul) && isNative) return "same";
      const isMoved = (["address", "namespace", "partition"] as const).some(
        (key) => before.consul?.[key] !== after.consul?.[key],
      );
      return isMoved ? "elsewhere" : "credentials";
    }
    case "directory":
      return isDeepStrictEqual(before.directory, after.directory) ? "same" : "elsewhere";
    case "dns":
    case "static":
      return "same";
  }
}

/** Whether inbound calls go where they went, over the connections that stand; the rest of a service is what is published. */
export function sameApplication(before: ServiceConfig | undefined, after: ServiceConfig | undefined): boolean {
  return (
    isDeepStrictEqual(before?.address, after?.address) &&
    before?.protocol === after?.protocol &&
    before?.health === after?.health
  );
}
