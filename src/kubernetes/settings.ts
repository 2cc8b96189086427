import { closest } from "../config/closest.ts";
import { type Annotation, annotations, isAnnotation, PREFIX, RENDERED, STATUS } from "./annotations.ts";
import { FOLDER, POD_VARIABLES } from "./in-pod.ts";
import { at, isObject, type Json, type JsonObject, listAt, textAt } from "./json-patch.ts";
import { amountOf, QUANTITY } from "./quantity.ts";

/** What the injector was started with: what holds for every pod whose annotations do not say otherwise. */
export interface MeshDefaults {
  readonly image: string;
  readonly mode: Mode;
  readonly capture: boolean;
  /** What redirects traffic; undefined: what goes with the sidecar's image. */
  readonly captureImage: string | undefined;
  /** The configuration file that every sidecar starts from. */
  readonly config: string;
}

/** `native`: an init container that stays (KEP-753); `container`: one beside the others. */
export type Mode = "native" | "container";

/** What a pod's sidecar is to be like. */
export interface SidecarSettings {
  /** undefined: the pod only calls others. */
  readonly service: { readonly name: string; readonly port: number } | undefined;
  readonly protocol: string | undefined;
  readonly health: string | undefined;
  readonly healthPath: string | undefined;
  readonly logLevel: string | undefined;
  /** The pod's own part of the configuration file, as it stands in its annotation. */
  readonly config: string | undefined;
  readonly image: string;
  readonly imagePullPolicy: string | undefined;
  readonly mode: Mode;
  /** What redirects the pod's traffic; undefined: nothing does. */
  readonly captureImage: string | undefined;
  readonly secretVariables: readonly SecretVariable[];
  readonly mounts: readonly Mount[];
  readonly requests: Quantities;
  readonly limits: Quantities;
}

/** A volume of the pod, and where the sidecar sees it. */
export interface Mount {
  readonly volume: string;
  readonly path: string;
  readonly writable: boolean;
}

/** A variable of the sidecar's environment, and the Secret and the key in it that it has its value from. */
export interface SecretVariable {
  readonly variable: string;
  readonly secret: string;
  readonly key: string;
}

interface Quantities {
  readonly cpu: string | undefined;
  readonly memory: string | undefined;
}

/**
 * Measured (test/results/bench.md): resident memory of a sidecar is some 90 MB at rest and 185 MB after load, so that an
 * autoscaler that looks at memory sees no more than was asked for; a call costs 20 to 60 us of CPU, so that 50m are about a
 * thousand calls a second.
 */
const DEFAULT_REQUESTS = { cpu: "50m", memory: "192Mi" };
const DEFAULT_LIMITS = { cpu: undefined, memory: "384Mi" };

const SERVICE = /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/;
const IMAGE = /^[^\s]+$/;
/** An image by tag, or without one; one by digest has an `@`. */
const BY_TAG = /^([^@]+?)(:[^/:@]+)?$/;
const PATH = /^\/\S*$/;
const MOUNT = /^([a-z0-9-]+):(\/[^\s:,]*)(:rw)?$/;
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/;
const SECRET = /^([a-z0-9][a-z0-9.-]*)\/([A-Za-z0-9._-]+)$/;

/** Reads what a pod's labels and annotations say. Each problem is a sentence that names the annotation. */
export function readSettings(
  pod: JsonObject,
  defaults: MeshDefaults,
): SidecarSettings | { readonly problems: string[] } {
  const reader = new AnnotationReader(at(pod, "metadata", "annotations"));
  const protocol = reader.word("protocol", ["grpc", "http2", "http1", "tcp"]);
  const service = readService(pod, protocol, reader);
  const image = reader.matching("image", IMAGE) ?? defaults.image;
  const [cpu, memory] = [readShare("cpu", reader), readShare("memory", reader)];
  const settings: SidecarSettings = {
    service,
    protocol,
    health: reader.word("health", ["grpc", "http", "tcp", "none"]),
    healthPath: reader.matching("health-path", PATH),
    logLevel: reader.word("log-level", ["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
    config: reader.text("config"),
    image,
    imagePullPolicy: reader.word("image-pull-policy", ["Always", "IfNotPresent", "Never"]),
    mode: reader.word("mode", ["native", "container"]) ?? defaults.mode,
    captureImage: readCaptureImage(reader, image, defaults),
    secretVariables: readSecretVariables(reader),
    mounts: readMounts(pod, reader),
    requests: { cpu: cpu.request, memory: memory.request },
    limits: { cpu: cpu.limit, memory: memory.limit },
  };
  reader.reportUnknown();
  return reader.problems.length > 0 ? { problems: reader.problems } : settings;
}

/** What is asked for of a resource is never above its limit: who says only one of the two has the other follow. */
function readShare(
  resource: "cpu" | "memory",
  reader: AnnotationReader,
): { readonly request: string; readonly limit: string | undefined } {
  const request = reader.matching(`${resource}-request`, QUANTITY);
  const limit = reader.matching(`${resource}-limit`, QUANTITY);
  if (request !== undefined && limit !== undefined && amountOf(request) > amountOf(limit))
    reader.report(`${resource}-request`, `is ${request}, which is more than the limit of ${limit}`);
  const [usualRequest, usualLimit] = [DEFAULT_REQUESTS[resource], DEFAULT_LIMITS[resource]];
  return {
    request: request ?? (limit !== undefined && amountOf(limit) < amountOf(usualRequest) ? limit : usualRequest),
    limit:
      limit ??
      (usualLimit !== undefined && request !== undefined && amountOf(request) > amountOf(usualLimit)
        ? request
        : usualLimit),
  };
}

function readCaptureImage(reader: AnnotationReader, image: string, defaults: MeshDefaults): string | undefined {
  const named = reader.matching("capture-image", IMAGE);
  const word = reader.word("capture", ["enabled", "disabled"]) ?? (defaults.capture ? "enabled" : "disabled");
  if (word === "disabled") {
    if (named !== undefined) reader.report("capture-image", `has no effect without ${PREFIX}/capture`);
    return undefined;
  }
  const [, name, tag = ""] = BY_TAG.exec(image) ?? [];
  const beside = name === undefined ? undefined : `${name}-capture${tag}`;
  const found = named ?? defaults.captureImage ?? beside;
  if (found === undefined)
    reader.report("capture-image", `is missing: what goes with ${image}, an image by its digest, is not known`);
  return found;
}

function readService(
  pod: JsonObject,
  protocol: string | undefined,
  reader: AnnotationReader,
): SidecarSettings["service"] {
  const labels = at(pod, "metadata", "labels");
  const named = reader.matching("service", SERVICE);
  const name = named ?? textAt(labels, "app.kubernetes.io/name") ?? textAt(labels, "app");
  const port = reader.text("port");
  if (name === undefined || name === "none") {
    if (port !== undefined)
      reader.report(
        "port",
        name === "none" ? 'has no effect with service "none"' : `has no effect without ${PREFIX}/service`,
      );
    return undefined;
  }
  const ports = containerPorts(pod);
  const found = port === undefined ? (ports.get(usualPort(protocol)) ?? onlyOne(ports)) : portOf(port, ports);
  if (found !== undefined) return { name, port: found };
  // A pod whose labels merely give it a name may well serve nothing.
  if (port !== undefined)
    reader.report("port", `is "${port}", which is neither a port nor the name of one; the pod has ${listed(ports)}`);
  else if (named !== undefined)
    reader.report(
      "service",
      `is "${named}", but where it listens is not said: ${PREFIX}/port is missing; the pod has ${listed(ports)}`,
    );
  return undefined;
}

function containerPorts(pod: JsonObject): ReadonlyMap<string, number> {
  const ports = new Map<string, number>();
  for (const container of listAt(pod, "spec", "containers"))
    for (const entry of listAt(container, "ports")) {
      const port = at(entry, "containerPort");
      if (typeof port === "number") ports.set(textAt(entry, "name") ?? String(port), port);
    }
  return ports;
}

/** How the port of a protocol is usually called. */
function usualPort(protocol: string | undefined): string {
  return protocol === "http1" || protocol === "http2" ? "http" : "grpc";
}

function onlyOne(ports: ReadonlyMap<string, number>): number | undefined {
  return ports.size === 1 ? [...ports.values()][0] : undefined;
}

function portOf(text: string, ports: ReadonlyMap<string, number>): number | undefined {
  if (!/^[0-9]{1,5}$/.test(text)) return ports.get(text);
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function listed(ports: ReadonlyMap<string, number>): string {
  if (ports.size === 0) return "no container port";
  return [...ports].map(([name, port]) => (name === String(port) ? name : `${name} (${port})`)).join(", ");
}

function readSecretVariables(reader: AnnotationReader): SecretVariable[] {
  const read: SecretVariable[] = [];
  const add = (annotation: Annotation, variable: string, text: string): void => {
    const [, secret, key] = SECRET.exec(text) ?? [];
    if (secret === undefined || key === undefined)
      reader.report(annotation, `has "${text}", expected ${annotations[annotation].value}`);
    else if (read.some((one) => one.variable === variable)) reader.report(annotation, `has ${variable} twice`);
    else read.push({ variable, secret, key });
  };
  const token = reader.text("consul-token-secret");
  if (token !== undefined) add("consul-token-secret", "CONSUL_HTTP_TOKEN", token);
  for (const entry of reader.list("secret-env")) {
    const [, variable, text] = VARIABLE.exec(entry) ?? [];
    if (variable === undefined || text === undefined)
      reader.report("secret-env", `has "${entry}", expected ${annotations["secret-env"].value}`);
    else if (Object.hasOwn(POD_VARIABLES, variable))
      reader.report("secret-env", `has ${variable}, which is the pod's own`);
    else add("secret-env", variable, text);
  }
  return read;
}

function readMounts(pod: JsonObject, reader: AnnotationReader): Mount[] {
  const volumes = listAt(pod, "spec", "volumes").flatMap((volume) => textAt(volume, "name") ?? []);
  const taken = new Set([FOLDER]);
  return reader.list("volume-mounts").map((entry) => {
    const [, volume = "", path = "", write] = MOUNT.exec(entry) ?? [];
    if (volume === "") reader.report("volume-mounts", `has "${entry}", expected ${annotations["volume-mounts"].value}`);
    else if (!volumes.includes(volume))
      reader.report("volume-mounts", `names the volume "${volume}"; the pod has ${volumes.join(", ") || "none"}`);
    else if (taken.has(path)) reader.report("volume-mounts", `has "${entry}", but ${path} is taken`);
    taken.add(path);
    return { volume, path, writable: write !== undefined };
  });
}

/** Reads annotations one by one and gathers what is wrong with them. */
class AnnotationReader {
  readonly problems: string[] = [];
  private readonly given: JsonObject;

  constructor(given: Json | undefined) {
    this.given = isObject(given) ? given : {};
  }

  text(name: Annotation): string | undefined {
    return textAt(this.given, `${PREFIX}/${name}`);
  }

  /** The entries of a list that is written with commas. */
  list(name: Annotation): string[] {
    const entries = (this.text(name) ?? "").split(",").map((entry) => entry.trim());
    return entries.filter((entry) => entry !== "");
  }

  word<W extends string>(name: Annotation, words: readonly W[]): W | undefined {
    const text = this.text(name);
    const word = words.find((one) => one === text);
    if (text !== undefined && word === undefined) {
      const near = closest(text, words);
      this.report(
        name,
        `is "${text}", expected ${words.join(", ")}${near === undefined ? "" : `; did you mean "${near}"?`}`,
      );
    }
    return word;
  }

  matching(name: Annotation, pattern: RegExp): string | undefined {
    const text = this.text(name);
    if (text === undefined || pattern.test(text)) return text;
    this.report(name, `is "${text}", expected ${annotations[name].value}`);
    return undefined;
  }

  report(name: Annotation, what: string): void {
    this.problems.push(`annotation ${PREFIX}/${name} ${what}`);
  }

  /** A misspelt annotation, or one that is no text, would have no effect, which nobody would notice. */
  reportUnknown(): void {
    for (const [key, value] of Object.entries(this.given)) {
      if (!key.startsWith(`${PREFIX}/`) || key === RENDERED || key === STATUS) continue;
      const name = key.slice(PREFIX.length + 1);
      if (isAnnotation(name) && typeof value !== "string")
        this.report(name, `is ${JSON.stringify(value)}, which Kubernetes takes only as text, in quotes`);
      if (isAnnotation(name) || name === "inject") continue;
      const near = closest(name, Object.keys(annotations));
      this.problems.push(
        `there is no annotation ${key}${near === undefined ? "" : `; did you mean ${PREFIX}/${near}?`}`,
      );
    }
  }
}
