/** The name of the sidecar's container. */
export const SIDECAR = "outrigger";
/** The name of the container that redirects the pod's connections. */
export const CAPTURE = "outrigger-capture";
/** The name of the volume with the sidecar's configuration. */
export const VOLUME = "outrigger-config";
/** The name of the sidecar's port for calls. */
export const INBOUND_PORT = "mesh-inbound";
/** The name of its port for probes and Prometheus. */
export const PROBE_PORT = "mesh-probe";
/** Where the sidecar sees that volume. */
export const FOLDER = "/etc/outrigger";

/**
 * Who the sidecar runs as: a user of its own, since captured traffic is told from the sidecar's own by user, and images made
 * from distroless bases run their application as 65532.
 */
export const SIDECAR_USER = 15001;

/** The variables that tell a sidecar of its pod, and where the downward API has them from. */
export const POD_VARIABLES: Readonly<Record<string, string>> = {
  POD_NAME: "metadata.name",
  POD_NAMESPACE: "metadata.namespace",
  POD_IP: "status.podIP",
  NODE_NAME: "spec.nodeName",
  HOST_IP: "status.hostIP",
};
