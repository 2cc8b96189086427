import type { Registration } from "./source.ts";

/** The service beside this sidecar, as configured. */
export interface PublishedService {
  readonly name: string;
  /** undefined: NAME-HOST-PORT of what is advertised, which survives a restart. */
  readonly id: string | undefined;
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
}

/** What others find of the service. What the sidecar says of itself in `meta` cannot be overwritten by the configured one. */
export function makeRegistration(
  service: PublishedService,
  advertised: { readonly host: string; readonly port: number },
  sidecar: { readonly version: string; readonly mtls: string },
): Registration {
  const { name, tags, meta } = service;
  const { host, port } = advertised;
  return {
    id: service.id ?? `${name}-${host}-${port}`,
    name,
    host,
    port,
    tags,
    meta: { ...meta, outrigger: sidecar.version, mtls: sidecar.mtls },
    weight: 1,
  };
}
