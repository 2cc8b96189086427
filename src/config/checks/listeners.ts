import { type Address, formatAddress } from "../../core/address.ts";
import { isLoopback, isWildcard } from "../../discovery/bad-endpoint.ts";
import type { Draft } from "../draft.ts";
import { formatPath, type Path } from "../issue.ts";
import type { Reading } from "../reading.ts";
import type { FileConfig } from "../schema.ts";
import { isDefault } from "./is-default.ts";

/** A listener of this sidecar with the place of its address in the file. */
export interface Listener {
  readonly path: Path;
  readonly address: Address;
}

/** Two listeners on one address, an application that is the sidecar itself, an inbound listener for nobody. */
export function checkListeners(draft: Draft<FileConfig>, reading: Reading): void {
  const listeners = listenersOf(draft, reading);
  for (const [index, { path, address }] of listeners.entries()) {
    const other = listeners.slice(0, index).find((earlier) => overlap(earlier.address, address));
    if (other === undefined) continue;
    // What the file says is the mistake, not the default that it meets.
    const [at, with_] = reading.has(path) ? [path, other] : [other.path, { path, address }];
    reading.reportValue(at, {
      code: "conflict",
      message: `${formatPath(at)} listens where ${formatPath(with_.path)} does, ${formatAddress(with_.address)}`,
      expected: "an address of its own for each listener",
    });
  }
  checkLoop(draft, listeners, reading);
  const { inbound } = draft.listeners ?? {};
  const path = ["listeners", "inbound"];
  const idle = inbound !== undefined && reading.has(path) && !reading.has(["service"]);
  if (idle && !isDefault("listeners.inbound", inbound)) {
    reading.reportKey(path, {
      code: "no-effect",
      message: "listeners.inbound has no effect without a service: a caller-only sidecar has no inbound listener",
      expected: "a service, or no such key",
    });
  }
}

/** What will be bound, own listeners of upstreams included. */
export function listenersOf(draft: Draft<FileConfig>, reading: Reading): readonly Listener[] {
  const found: Listener[] = [];
  for (const [name, address] of Object.entries(draft.listeners ?? {})) {
    if (address === undefined || (name === "inbound" && !reading.has(["service"]))) continue;
    found.push({ path: ["listeners", name], address });
  }
  const { capture } = draft;
  for (const [name, address] of Object.entries({ inbound: capture?.inbound, outbound: capture?.outbound }))
    if (address !== undefined) found.push({ path: ["capture", name], address });
  for (const [name, upstream] of draft.upstreams ?? []) {
    if (upstream.listen !== undefined) found.push({ path: ["upstreams", name, "listen"], address: upstream.listen });
  }
  return found;
}

function checkLoop(draft: Draft<FileConfig>, listeners: readonly Listener[], reading: Reading): void {
  const address = draft.service?.address;
  const own = address && listeners.find((listener) => reaches(address, listener.address));
  if (own === undefined) return;
  reading.reportValue(["service", "address"], {
    code: "conflict",
    message: `service.address is ${formatPath(own.path)} of this sidecar: it would call itself`,
    expected: "the address of the application",
  });
}

/** Both cannot be bound: the same port on the same address, or on one and on the wildcard. */
function overlap(one: Address, other: Address): boolean {
  if (one.kind === "unix" || other.kind === "unix") {
    return one.kind === "unix" && other.kind === "unix" && one.path === other.path;
  }
  if (one.port !== other.port || one.port === 0) return false;
  return sameHost(one.host, other.host) || isWildcard(one.host) || isWildcard(other.host);
}

/** Whether who dials `target` comes out at the listener, as far as can be told without resolving names. */
export function reaches(target: Address, listener: Address): boolean {
  if (target.kind === "unix" || listener.kind === "unix") {
    return target.kind === "unix" && listener.kind === "unix" && target.path === listener.path;
  }
  if (target.port !== listener.port || target.port === 0) return false;
  return sameHost(target.host, listener.host) || (isWildcard(listener.host) && isLoopback(target.host));
}

function sameHost(one: string, other: string): boolean {
  return one === other || (isLocalName(one) && isLocalName(other) && (one === "localhost" || other === "localhost"));
}

function isLocalName(host: string): boolean {
  return host === "localhost" || host === "127.0.0.1" || host === "::1";
}
