import { isLoopback, isWildcard } from "../../discovery/bad-endpoint.ts";
import { isRegistry } from "../../discovery/source.ts";
import type { Draft } from "../draft.ts";
import { formatPath, type Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import { effectiveSource } from "./discovery.ts";
import { isDefault } from "./is-default.ts";

/** What is published of the service: that somebody publishes it, and that others can dial it. */
export function checkService(draft: Draft<FileConfig>, reading: Reading): void {
  const source = effectiveSource(draft, reading);
  if (draft.service === undefined || source === undefined) return;
  if (!isRegistry(source)) {
    for (const key of ["id", "advertise", "tags", "meta"] as const) {
      const path = ["service", key];
      const value = draft.service[key];
      if (value === undefined || !reading.has(path) || isDefault(`service.${key}`, value)) continue;
      reading.reportKey(path, {
        code: "no-effect",
        message: `service.${key} has no effect: ${source} discovery registers nothing`,
        expected: "discovery with consul or directory, or no such key",
      });
    }
    return;
  }
  const inbound = draft.listeners?.inbound;
  const { advertise } = draft.service;
  if (inbound?.kind === "unix" && advertise === undefined && !reading.has(["service", "advertise"])) {
    reading.reportValue(["listeners", "inbound"], {
      code: "conflict",
      message: "listeners.inbound is a unix socket, which others cannot dial, and service.advertise says nothing else",
      expected: "an inbound HOST:PORT, or service.advertise",
    });
  }
  if (source === "consul") checkReachable(draft, reading);
}

/** A loopback address in a catalog that other machines read would send them to themselves. */
function checkReachable(draft: Draft<FileConfig>, reading: Reading): void {
  const address = draft.discovery?.consul?.address;
  if (address === undefined || isLoopback(new URL(address).hostname.replace(/^\[|\]$/g, ""))) return;
  const found = advertised(draft);
  if (found === undefined || !isLoopback(found.host)) return;
  const name = formatPath(found.path);
  const what = name === "listeners.inbound" ? `${name}, which would be advertised,` : name;
  reading.reportValue(found.path, {
    code: "conflict",
    message: `${what} is on loopback and the Consul agent ${address} is not: others would dial themselves`,
    expected: "an address that others can dial, or an agent on loopback",
  });
}

/** The host that others are told, where the file decides it. */
function advertised(draft: Draft<FileConfig>): { readonly path: Path; readonly host: string } | undefined {
  const { advertise } = draft.service ?? {};
  if (advertise !== undefined && advertise.host !== "") return { path: ["service", "advertise"], host: advertise.host };
  const inbound = draft.listeners?.inbound;
  if (inbound?.kind !== "tcp" || isWildcard(inbound.host)) return undefined;
  return { path: ["listeners", "inbound"], host: inbound.host };
}
