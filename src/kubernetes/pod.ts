import { version } from "../core/version.ts";
import { INJECT_LABEL, RENDERED, STATUS } from "./annotations.ts";
import { clashesOf } from "./clashes.ts";
import { CAPTURE, SIDECAR, VOLUME } from "./in-pod.ts";
import { at, isObject, type Json, type JsonObject, listAt, textAt } from "./json-patch.ts";
import { type MeshDefaults, readSettings } from "./settings.ts";
import { renderConfig } from "./sidecar-config.ts";
import { captureContainer, configVolume, sidecarContainer } from "./sidecar-container.ts";

/** What becomes of a pod. */
export type Injection =
  | { readonly kind: "injected"; readonly pod: JsonObject; readonly warnings: readonly string[] }
  /** It stays as it is, for this reason. */
  | { readonly kind: "skipped"; readonly why: string }
  /** What its annotations say cannot be. */
  | { readonly kind: "refused"; readonly problems: readonly string[] };

/** Seconds beyond notice and grace, for the process to end. */
const MARGIN = 5;
/** What Kubernetes gives a pod that does not say. */
const DEFAULT_GRACE = 30;

/**
 * Gives a pod, or the template of one, its sidecar. Pure, and the same again for a pod that has one: its sidecar is made
 * anew from the annotations, so that injecting twice, or with a newer version, leaves one sidecar, the new one.
 */
export function inject(pod: JsonObject, defaults: MeshDefaults): Injection {
  const word = at(pod, "metadata", "labels", INJECT_LABEL) ?? at(pod, "metadata", "annotations", INJECT_LABEL);
  if (word === "disabled") return { kind: "skipped", why: `its label ${INJECT_LABEL} is "disabled"` };
  if (word !== undefined && word !== "enabled") {
    const said = JSON.stringify(word);
    return { kind: "refused", problems: [`label ${INJECT_LABEL} is ${said}, expected enabled or disabled`] };
  }
  const unfit = whyUnfit(pod);
  if (unfit !== undefined) return { kind: "skipped", why: unfit };

  const bare = withoutSidecar(pod);
  const settings = readSettings(bare, defaults);
  if ("problems" in settings) return { kind: "refused", problems: settings.problems };
  const rendered = renderConfig(defaults.config, settings);
  if (rendered.kind === "wrong") return { kind: "refused", problems: [rendered.problem] };

  const { config } = rendered;
  if (listAt(bare, "spec", "containers").length === 0) return { kind: "refused", problems: ["it has no container"] };
  const clashes = clashesOf(bare, config);
  if (clashes.length > 0) return { kind: "refused", problems: clashes };
  const sidecar = sidecarContainer(settings, config);
  const native = settings.mode === "native";
  const spec = objectAt(bare, "spec");
  const { captureImage } = settings;
  const capture = captureImage === undefined ? [] : [captureContainer(settings, captureImage, config)];
  const first = [...capture, ...(native ? [sidecar] : [])];
  const grace = Math.ceil((config.drain.notice + config.drain.grace) / 1000) + MARGIN;
  const given = at(spec, "terminationGracePeriodSeconds");
  return {
    kind: "injected",
    warnings: native ? [] : warningsOf(spec, captureImage !== undefined),
    pod: {
      ...bare,
      metadata: {
        ...objectAt(bare, "metadata"),
        annotations: {
          ...objectAt(bare, "metadata", "annotations"),
          [STATUS]: JSON.stringify({ version, mode: settings.mode }),
          [RENDERED]: rendered.text,
        },
      },
      spec: {
        ...spec,
        terminationGracePeriodSeconds: Math.max(typeof given === "number" ? given : DEFAULT_GRACE, grace),
        // Before the application's own init containers, which may have calls to make.
        ...(first.length === 0 ? {} : { initContainers: [...first, ...listAt(spec, "initContainers")] }),
        containers: native ? listAt(spec, "containers") : [sidecar, ...listAt(spec, "containers")],
        volumes: [...listAt(spec, "volumes"), configVolume()],
      },
    },
  };
}

/** Why no sidecar could work in a pod; undefined where one can. */
function whyUnfit(pod: JsonObject): string | undefined {
  if (at(pod, "spec", "hostNetwork") === true)
    return "it is in the network of its node, whose ports and traffic are not its own";
  const system =
    textAt(pod, "spec", "os", "name") ?? textAt(pod, "spec", "nodeSelector", "kubernetes.io/os") ?? "linux";
  if (system !== "linux") return `it is for nodes with ${system}, and the sidecar's image is for linux`;
  if (textAt(pod, "metadata", "annotations", "kubernetes.io/config.mirror") !== undefined)
    return "it mirrors a pod that a kubelet has started from a file, which nothing here can change";
  return undefined;
}

/** What does not work where the sidecar is a container beside the application, which ends last of all or not at all. */
function warningsOf(spec: JsonObject, captured: boolean): string[] {
  const warnings: string[] = [];
  const policy = textAt(spec, "restartPolicy") ?? "Always";
  // A pod that is to end does not while a container of it runs.
  if (policy !== "Always")
    warnings.push(
      `its restartPolicy is ${policy}, so it is to end, but a sidecar beside the application has to be told: by outrigger wait --drain, or POST /drain (docs/kubernetes.md, Jobs)`,
    );
  if (captured && listAt(spec, "initContainers").length > 0)
    warnings.push(
      "its init containers run before the sidecar does, so that what they connect to, redirected, is refused: use mode native, or leave their user out (capture.exclude.users)",
    );
  return warnings;
}

/** Whether a pod, or the template of one, has a sidecar of ours. */
function hasSidecar(pod: JsonObject): boolean {
  return at(pod, "metadata", "annotations", STATUS) !== undefined;
}

/** The pod as it was before. What the injector does not write it does not take away. */
function withoutSidecar(pod: JsonObject): JsonObject {
  if (!hasSidecar(pod)) return pod;
  const { [STATUS]: _status, [RENDERED]: _rendered, ...annotations } = objectAt(pod, "metadata", "annotations");
  const spec = objectAt(pod, "spec");
  const { initContainers: _init, ...others } = spec;
  const init = without(listAt(spec, "initContainers"), SIDECAR, CAPTURE);
  return {
    ...pod,
    metadata: { ...objectAt(pod, "metadata"), annotations },
    spec: {
      ...others,
      ...(init.length === 0 ? {} : { initContainers: init }),
      containers: without(listAt(spec, "containers"), SIDECAR),
      volumes: without(listAt(spec, "volumes"), VOLUME),
    },
  };
}

function without(entries: readonly Json[], ...names: readonly string[]): readonly Json[] {
  return entries.filter((entry) => !names.includes(textAt(entry, "name") ?? ""));
}

function objectAt(value: JsonObject, ...keys: readonly string[]): JsonObject {
  const found = at(value, ...keys);
  return isObject(found) ? found : {};
}
