import type { Config } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import { CAPTURE, INBOUND_PORT, PROBE_PORT, SIDECAR, SIDECAR_USER, VOLUME } from "./in-pod.ts";
import { at, type Json, type JsonObject, listAt, textAt } from "./json-patch.ts";

/**
 * What of a pod's own cannot stand beside the sidecar: names and ports that are the sidecar's, and, where traffic is
 * redirected, its user, by which its connections are told from the application's. Each is a sentence.
 */
export function clashesOf(pod: JsonObject, config: Config): string[] {
  const containers = [...listAt(pod, "spec", "containers"), ...listAt(pod, "spec", "initContainers")];
  const problems = containers.flatMap((container) => [
    ...nameClash(container),
    ...portClashes(container, config),
    ...(config.capture === undefined ? [] : userClash(pod, container)),
  ]);
  if (listAt(pod, "spec", "volumes").some((volume) => textAt(volume, "name") === VOLUME))
    problems.push(`the pod has a volume ${VOLUME}, which is how the sidecar's is called`);
  return problems;
}

function nameClash(container: Json): string[] {
  const name = textAt(container, "name") ?? "?";
  return name === SIDECAR || name === CAPTURE
    ? [`the pod has a container ${name}, which is how the sidecar's is called`]
    : [];
}

function portClashes(container: Json, config: Config): string[] {
  const name = textAt(container, "name") ?? "?";
  const listeners = listenersOf(config);
  const names = [PROBE_PORT, ...(config.service === undefined ? [] : [INBOUND_PORT])];
  return listAt(container, "ports").flatMap((entry) => {
    const called = textAt(entry, "name");
    // A Service that names its port would lead to the application's.
    if (called !== undefined && names.includes(called))
      return [`container ${name} has a port called ${called}, which is how the sidecar's is called`];
    const port = at(entry, "containerPort");
    if ((textAt(entry, "protocol") ?? "TCP") !== "TCP" || typeof port !== "number") return [];
    const path = listeners.get(port);
    return path === undefined
      ? []
      : [
          `container ${name} has port ${port}, where the sidecar listens: give ${path} another one in outrigger.dev/config`,
        ];
  });
}

/** The TCP ports that the sidecar binds, each with where it is said. */
function listenersOf({ service, listeners, capture, upstreams }: Config): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  const add = (path: string, address: Address | undefined): void => {
    if (address?.kind === "tcp") found.set(address.port, path);
  };
  if (service !== undefined) add("listeners.inbound", listeners.inbound);
  add("listeners.outbound", listeners.outbound);
  add("listeners.admin", listeners.admin);
  add("listeners.probe", listeners.probe);
  add("capture.inbound", capture?.inbound);
  add("capture.outbound", capture?.outbound);
  for (const [name, upstream] of upstreams) add(`upstreams.${name}.listen`, upstream.listen);
  return found;
}

function userClash(pod: JsonObject, container: Json): string[] {
  const user = at(container, "securityContext", "runAsUser") ?? at(pod, "spec", "securityContext", "runAsUser");
  const name = textAt(container, "name") ?? "?";
  return user === SIDECAR_USER
    ? [
        `container ${name} runs as user ${SIDECAR_USER}, the sidecar's, so its traffic would not be redirected: give it another one`,
      ]
    : [];
}
