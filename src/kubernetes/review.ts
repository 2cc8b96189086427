import { INJECT_LABEL } from "./annotations.ts";
import { at, difference, isObject, type Json, type JsonObject, textAt } from "./json-patch.ts";
import { inject } from "./pod.ts";
import type { MeshDefaults } from "./settings.ts";

/** What the answer to an admission review says, for the log. */
export interface Reviewed {
  readonly answer: JsonObject;
  readonly what: "injected" | "skipped" | "refused";
  readonly detail: string;
  readonly pod: string;
}

const VERSION = "admission.k8s.io/v1";

/**
 * Answers an AdmissionReview of the API server. Undefined: the text is none. Nothing outside of the answer changes, so a dry
 * run is the same as any other.
 */
export function review(body: string, defaults: MeshDefaults): Reviewed | undefined {
  const request = requestOf(body);
  const uid = textAt(request, "uid");
  const pod = at(request, "object");
  if (uid === undefined || !isObject(pod)) return undefined;
  const name = nameOf(request, pod);
  const say = (what: Reviewed["what"], detail: string, response: JsonObject): Reviewed => ({
    answer: { apiVersion: VERSION, kind: "AdmissionReview", response: { uid, ...response } },
    what,
    detail,
    pod: name,
  });
  if (textAt(request, "kind", "kind") !== "Pod") return say("skipped", "it is no pod", { allowed: true });
  const result = inject(pod, defaults);
  switch (result.kind) {
    case "injected": {
      const patch = JSON.stringify(difference(pod, result.pod));
      return say("injected", "", {
        allowed: true,
        patchType: "JSONPatch",
        patch: Buffer.from(patch, "utf8").toString("base64"),
        ...(result.warnings.length === 0 ? {} : { warnings: result.warnings.map((why) => `${name}: ${why}`) }),
      });
    }
    case "skipped": {
      // Who asked for a sidecar by label and gets none is told so by kubectl.
      const asked = textAt(pod, "metadata", "labels", INJECT_LABEL) === "enabled";
      const warning = `${name} gets no sidecar: ${result.why}`;
      return say("skipped", result.why, { allowed: true, ...(asked ? { warnings: [warning] } : {}) });
    }
    case "refused": {
      const message = `${name} cannot get its sidecar: ${result.problems.join("; ")}`;
      return say("refused", result.problems.join("; "), {
        allowed: false,
        status: { code: 400, reason: "BadRequest", message },
      });
    }
  }
}

function requestOf(body: string): JsonObject | undefined {
  let parsed: Json;
  try {
    parsed = JSON.parse(body) as Json;
  } catch {
    return undefined;
  }
  if (textAt(parsed, "apiVersion") !== VERSION) return undefined;
  const request = at(parsed, "request");
  return isObject(request) ? request : undefined;
}

/** A pod that is being made by a controller has no name yet. */
function nameOf(request: JsonObject | undefined, pod: JsonObject): string {
  const name = textAt(pod, "metadata", "name") ?? `${textAt(pod, "metadata", "generateName") ?? ""}*`;
  return `pod ${textAt(request, "namespace") ?? "default"}/${name}`;
}
