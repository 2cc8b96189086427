import type { Config } from "../config/types.ts";
import { ConsulConnect } from "../discovery/consul/connect.ts";
import type { IdentitySource } from "../identity/material.ts";
import { ConsulIdentity } from "../identity/sources/consul.ts";
import { DevelopmentIdentity } from "../identity/sources/development.ts";
import { FilesIdentity } from "../identity/sources/files.ts";
import { WorkloadApiIdentity } from "../identity/sources/workload-api.ts";
import { consulPattern, IdPattern } from "../identity/spiffe.ts";
import type { ProcessServices } from "./services.ts";

/** Whether anything of a configuration needs a certificate. */
export function needsIdentity({ mtls, upstreams }: Config): boolean {
  if (mtls.source === undefined) return false;
  return (
    mtls.mode !== "disabled" || [...upstreams.values()].some((upstream) => (upstream.mtls ?? "disabled") !== "disabled")
  );
}

/** The SPIFFE ids that the own certificate may have. */
export function ownPatterns({ mtls, identity, discovery }: Config): readonly IdPattern[] {
  if (mtls.identity !== undefined) {
    const pattern = IdPattern.parse(mtls.identity);
    if (typeof pattern === "string") throw new Error(`mtls.identity is no SPIFFE id: ${pattern}`);
    return [pattern];
  }
  const namespace = discovery.consul?.namespace;
  const where = namespace === undefined ? {} : { namespace };
  return [consulPattern(identity.name, where), consulPattern(identity.name, { ...where, partition: "*" })];
}

/** What the source of an identity is made from: where this is the same, the source is. */
export function identitySettings(config: Config): unknown {
  const { source, identity, minVersion, rootOverlap } = config.mtls;
  return [
    source,
    identity,
    minVersion,
    rootOverlap,
    config.identity.name,
    source?.consul === undefined ? undefined : config.discovery.consul,
  ];
}

/** The source of a configuration that needs an identity. */
export function makeIdentitySource(
  config: Config,
  { clock, random }: Pick<ProcessServices, "clock" | "random">,
): IdentitySource {
  const { files, spiffe, development } = config.mtls.source ?? {};
  const { name } = config.identity;
  const { consul } = config.discovery;
  if (files !== undefined) return new FilesIdentity(files, clock);
  if (development !== undefined) return new DevelopmentIdentity(development.path, name, clock);
  if (spiffe !== undefined) return new WorkloadApiIdentity(spiffe.socket, ownPatterns(config), clock, random);
  if (consul === undefined) throw new Error("mtls.source is consul, and discovery.consul is not configured");
  return new ConsulIdentity(new ConsulConnect(consul, clock), name, clock, random);
}
