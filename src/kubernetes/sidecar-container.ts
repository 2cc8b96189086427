import type { Config } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import { RENDERED } from "./annotations.ts";
import { CAPTURE, FOLDER, INBOUND_PORT, POD_VARIABLES, PROBE_PORT, SIDECAR, SIDECAR_USER, VOLUME } from "./in-pod.ts";
import type { JsonObject } from "./json-patch.ts";
import type { SidecarSettings } from "./settings.ts";

const FILE = "outrigger.yaml";

/** The configuration is an annotation of the pod, shown to the sidecar as a file: a changed annotation is a reload. */
export function configVolume(): JsonObject {
  return {
    name: VOLUME,
    downwardAPI: { items: [{ path: FILE, fieldRef: { fieldPath: `metadata.annotations['${RENDERED}']` } }] },
  };
}

/** The sidecar's container; native: as an init container that keeps running. */
export function sidecarContainer(settings: SidecarSettings, config: Config): JsonObject {
  const { mode, mounts, requests, limits } = settings;
  return {
    name: SIDECAR,
    image: settings.image,
    ...(settings.imagePullPolicy === undefined ? {} : { imagePullPolicy: settings.imagePullPolicy }),
    args: ["run", "-c", `${FOLDER}/${FILE}`],
    env: environment(settings),
    ports: ports(config),
    volumeMounts: [
      { name: VOLUME, mountPath: FOLDER, readOnly: true },
      ...mounts.map(({ volume, path, writable }) => ({
        name: volume,
        mountPath: path,
        ...(writable ? {} : { readOnly: true }),
      })),
    ],
    resources: {
      requests: quantities(requests),
      ...(limits.cpu === undefined && limits.memory === undefined ? {} : { limits: quantities(limits) }),
    },
    // The application starts once the sidecar has its listeners and the first answer for each upstream.
    startupProbe: { httpGet: { path: "/startup", port: PROBE_PORT }, periodSeconds: 1, failureThreshold: 120 },
    readinessProbe: { httpGet: { path: "/ready", port: PROBE_PORT }, periodSeconds: 2, failureThreshold: 1 },
    livenessProbe: { httpGet: { path: "/live", port: PROBE_PORT }, periodSeconds: 10, failureThreshold: 3 },
    securityContext: {
      runAsUser: SIDECAR_USER,
      runAsGroup: SIDECAR_USER,
      runAsNonRoot: true,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      seccompProfile: { type: "RuntimeDefault" },
    },
    ...(mode === "native"
      ? { restartPolicy: "Always" }
      : // Kubernetes starts containers in their order and waits for this one's hook: the application finds it ready.
        { lifecycle: { postStart: { exec: { command: ["outrigger", "wait", "--timeout", "2m"] } } } }),
  };
}

/**
 * Redirects the pod's traffic before anything else runs, and ends. The only container of the mesh that has a right: to change
 * the pod's network, as root, since Kubernetes gives capabilities to nobody else.
 */
export function captureContainer(settings: SidecarSettings, image: string, config: Config): JsonObject {
  return {
    name: CAPTURE,
    image,
    ...(settings.imagePullPolicy === undefined ? {} : { imagePullPolicy: settings.imagePullPolicy }),
    args: ["capture", "-c", `${FOLDER}/${FILE}`, "--user", String(SIDECAR_USER)],
    env: environment(settings),
    volumeMounts: [{ name: VOLUME, mountPath: FOLDER, readOnly: true }],
    resources: { requests: { cpu: "10m", memory: "64Mi" } },
    securityContext: {
      runAsUser: 0,
      runAsGroup: 0,
      runAsNonRoot: false,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      // The older iptables speaks with the kernel through a raw socket.
      capabilities: {
        drop: ["ALL"],
        add: config.capture?.rules === "iptables" ? ["NET_ADMIN", "NET_RAW"] : ["NET_ADMIN"],
      },
      seccompProfile: { type: "RuntimeDefault" },
    },
  };
}

function environment({ secretVariables }: SidecarSettings): JsonObject[] {
  return [
    ...Object.entries(POD_VARIABLES).map(([name, fieldPath]) => ({ name, valueFrom: { fieldRef: { fieldPath } } })),
    ...secretVariables.map(({ variable, secret, key }) => ({
      name: variable,
      valueFrom: { secretKeyRef: { name: secret, key } },
    })),
  ];
}

function ports({ service, listeners }: Config): JsonObject[] {
  const port = (name: string, address: Address): JsonObject[] =>
    address.kind === "tcp" ? [{ name, containerPort: address.port, protocol: "TCP" }] : [];
  return [
    ...(service === undefined ? [] : port(INBOUND_PORT, listeners.inbound)),
    ...port(PROBE_PORT, listeners.probe),
  ];
}

function quantities({ cpu, memory }: SidecarSettings["limits"]): JsonObject {
  return { ...(cpu === undefined ? {} : { cpu }), ...(memory === undefined ? {} : { memory }) };
}
