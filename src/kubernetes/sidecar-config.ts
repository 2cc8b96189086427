import { parseDocument, stringify, type YAMLParseError } from "yaml";
import { formatIssues } from "../config/format-issues.ts";
import type { Config } from "../config/types.ts";
import { PREFIX } from "./annotations.ts";
import { isObject, type Json, type JsonObject } from "./json-patch.ts";
import type { SidecarSettings } from "./settings.ts";
import { loadWithStandIns } from "./stand-ins.ts";

/** The configuration of a pod's sidecar, or why there is none. */
export type Rendered =
  | { readonly kind: "rendered"; readonly text: string; readonly config: Config }
  | { readonly kind: "wrong"; readonly problem: string };

/**
 * The configuration file of a pod's sidecar: the mesh's own, what the pod's annotations say by themselves, and over both the
 * pod's `config` annotation. It is checked as `outrigger check` would, so that a mistake is told to whoever creates the pod
 * and not to a sidecar that cannot start.
 */
export function renderConfig(base: string, settings: SidecarSettings): Rendered {
  const mesh = readMapping(base, "the mesh's configuration");
  if ("problem" in mesh) return { kind: "wrong", problem: mesh.problem };
  const own = readMapping(settings.config ?? "", `annotation ${PREFIX}/config`);
  if ("problem" in own) return { kind: "wrong", problem: own.problem };
  const { service: meshService, ...rest } = mesh.value;
  const parts: Json[] = [rest];
  if (settings.service !== undefined)
    parts.push({ service: isObject(meshService) ? meshService : {} }, { service: serviceOf(settings) });
  if (settings.logLevel !== undefined) parts.push({ log: { level: settings.logLevel } });
  if (settings.captureImage !== undefined) parts.push({ capture: {} });
  parts.push(own.value);
  const text = stringify(parts.reduce<Json>(merge, {}), { lineWidth: 0 });
  const secrets = settings.secretVariables.map(({ variable }) => variable);
  const loaded = loadWithStandIns(text, secrets, "the sidecar's configuration");
  if (loaded.ok) return { kind: "rendered", text, config: loaded.config };
  return { kind: "wrong", problem: formatIssues(loaded.issues, "the sidecar's configuration", text).trimEnd() };
}

function serviceOf({ service, protocol, health, healthPath }: SidecarSettings): JsonObject {
  return {
    ...(service === undefined ? {} : { name: service.name, address: `127.0.0.1:${service.port}` }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(health === undefined ? {} : { health }),
    ...(healthPath === undefined ? {} : { healthPath }),
  };
}

/** Mappings are merged key by key; everything else of `over` takes the place of what was there. */
function merge(under: Json, over: Json): Json {
  if (!isObject(under) || !isObject(over)) return over;
  const merged: Record<string, Json> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = below === undefined ? value : merge(below, value);
  }
  return merged;
}

function readMapping(text: string, what: string): { readonly value: JsonObject } | { readonly problem: string } {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const start = error.linePos?.[0];
    const place = start === undefined ? "" : `:${start.line}:${start.col}`;
    return { problem: `${what}${place}: ${plainMessage(error)}` };
  }
  let value: Json;
  try {
    value = document.toJS() as Json;
  } catch (error) {
    // An alias of nothing, or of what grows beyond all bounds, shows only here.
    return { problem: `${what}: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (value === null) return { value: {} };
  return isObject(value) ? { value } : { problem: `${what} is not a mapping` };
}

/** What is wrong with a YAML text, without the place, which is said before it, and the excerpt. */
export function plainMessage(error: YAMLParseError): string {
  return error.message.split("\n")[0]?.replace(/ at line \d+, column \d+:$/, "") ?? error.code;
}
