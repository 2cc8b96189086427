import { readFileSync } from "node:fs";
import { version } from "../core/version.ts";
import type { MeshDefaults } from "../kubernetes/settings.ts";
import { readSettings } from "../kubernetes/settings.ts";
import { renderConfig } from "../kubernetes/sidecar-config.ts";
import { type Input, type Option, UsageError } from "./command.ts";

/** Options of the commands that put sidecars into pods. */
export const meshOptions: Readonly<Record<string, Option>> = {
  config: {
    short: "c",
    value: "FILE",
    doc: "the configuration that every sidecar starts from; default: the Consul agent of the node",
  },
  image: { value: "IMAGE", doc: `the sidecar's image; default: outrigger:${version}` },
  mode: {
    value: "MODE",
    doc: "native (default): an init container that keeps running; container: for Kubernetes before 1.29",
  },
  capture: { value: "WORD", doc: "enabled: the pod's traffic is redirected to the sidecar; disabled (default)" },
  "capture-image": {
    value: "IMAGE",
    doc: "the image that redirects it; default: the sidecar's with -capture behind its name",
  },
};

/** With the Consul agent of the node; what is the pod's own (service, address) the annotations add. */
const BASE = `discovery:
  consul: { address: "http://\${HOST_IP}:8500", token: "\${CONSUL_HTTP_TOKEN:-}" }
service:
  meta: { pod: "\${POD_NAME:-}", node: "\${NODE_NAME:-}" }
drain: { notice: 5s, grace: 25s }
`;

/** Reads them. Throws a UsageError, also where the configuration could not be any pod's. */
export function readMeshDefaults(input: Input): MeshDefaults {
  const file = input.value("config");
  const defaults: MeshDefaults = {
    image: input.value("image") ?? `outrigger:${version}`,
    mode: word(input, "mode", ["native", "container"]) ?? "native",
    capture: word(input, "capture", ["enabled", "disabled"]) === "enabled",
    captureImage: input.value("capture-image"),
    config: file === undefined ? BASE : read(file),
  };
  const settings = readSettings({ metadata: {}, spec: { containers: [] } }, defaults);
  if ("problems" in settings) throw new UsageError(settings.problems.join("; "));
  const rendered = renderConfig(defaults.config, settings);
  if (rendered.kind === "wrong") throw new UsageError(`${file ?? "the default configuration"}: ${rendered.problem}`);
  return defaults;
}

function word<W extends string>(input: Input, option: string, words: readonly W[]): W | undefined {
  const given = input.value(option);
  const found = words.find((one) => one === given);
  if (given !== undefined && found === undefined)
    throw new UsageError(`--${option} is "${given}", expected ${words.join(" or ")}`);
  return found;
}

function read(file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
