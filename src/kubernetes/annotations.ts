/** What stands before the slash of every label and annotation of ours. */
export const PREFIX = "outrigger.dev";

/** On a namespace or a pod: whether pods get a sidecar. A pod's word is the last one. */
export const INJECT_LABEL = `${PREFIX}/inject`;
/** Written by the injector: the configuration that the sidecar reads, through a volume of the downward API. */
export const RENDERED = `${PREFIX}/rendered-config`;
/** Written by the injector: which version made the sidecar of this pod. */
export const STATUS = `${PREFIX}/status`;

interface AnnotationFacts {
  /** What may be written. */
  readonly value: string;
  readonly doc: string;
}

/** What a pod's annotations may say, each behind `outrigger.dev/`. `docs/kubernetes.md` lists them; a test holds that. */
export const annotations = {
  service: {
    value: "a service name",
    doc: "what others call the pod by; default: the label `app.kubernetes.io/name`, else `app`; `none` for a pod that only calls",
  },
  port: {
    value: "a port, or the name of a container's port",
    doc: "where the application listens; default: the container port called `grpc`, or `http` where the protocol is http1 or http2, else the only one",
  },
  protocol: { value: "grpc, http2, http1 or tcp", doc: "what the application speaks; default: grpc" },
  health: {
    value: "grpc, http, tcp or none",
    doc: "how the sidecar asks whether it serves; default: grpc, or tcp where the protocol is http1 or tcp",
  },
  "health-path": { value: "/PATH", doc: "what is asked for with health http; default: /" },
  config: {
    value: "YAML",
    doc: "any part of the sidecar's configuration file, laid over what the mesh gives every pod: mappings are merged, lists and values replaced",
  },
  image: { value: "an image", doc: "the sidecar's image; default: the injector's `--image`" },
  "image-pull-policy": {
    value: "Always, IfNotPresent or Never",
    doc: "of the sidecar's image; default: that of Kubernetes",
  },
  mode: {
    value: "native or container",
    doc: "native: an init container that keeps running, which Kubernetes starts before and ends after the application (1.29 and newer); container: beside the application, for older clusters",
  },
  capture: {
    value: "enabled or disabled",
    doc: "whether the pod's traffic is redirected to the sidecar, so that the application calls others by their own names",
  },
  "capture-image": {
    value: "an image",
    doc: "the image that redirects the traffic; default: the injector's `--capture-image`, else the sidecar's with `-capture` behind its name",
  },
  "log-level": {
    value: "trace, debug, info, warn, error, fatal or silent",
    doc: "what the sidecar logs; default: info",
  },
  "consul-token-secret": { value: "SECRET/KEY", doc: "where the Consul token of the sidecar stands" },
  "secret-env": {
    value: "NAME=SECRET/KEY, ...",
    doc: "variables that the configuration may use, each from a Secret of the pod's namespace: passwords and tokens",
  },
  "volume-mounts": {
    value: "VOLUME:/PATH, ...",
    doc: "volumes of the pod that the sidecar sees as well, to read: certificates, or the socket of a SPIFFE agent; with `:rw` behind the path to write, for `discovery.cache`",
  },
  "cpu-request": { value: "a quantity of CPU", doc: "default: 50m, or the limit where that is less" },
  "cpu-limit": { value: "a quantity of CPU", doc: "default: none" },
  "memory-request": { value: "a quantity of memory", doc: "default: 192Mi, or the limit where that is less" },
  "memory-limit": { value: "a quantity of memory", doc: "default: 384Mi, or what is asked for where that is more" },
} as const satisfies Readonly<Record<string, AnnotationFacts>>;

/** What a pod may say of its sidecar. */
export type Annotation = keyof typeof annotations;

/** Whether a pod may say that. */
export function isAnnotation(name: string): name is Annotation {
  return Object.hasOwn(annotations, name);
}
