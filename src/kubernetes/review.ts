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
 * Answers an AdmissionReview of the API server; a text that is none has a problem. Nothing outside of the answer changes, so a
 * dry run is the same as any other.
 */
export function review(body: string, defaults: MeshDefaults): Reviewed | { readonly problem: string } {
  const read = requestOf(body);
  if ("problem" in read) return read;
  const { request } = read;
  const uid = textAt(request, "uid");
  if (uid === undefined) return { problem: "the request of this AdmissionReview has no uid" };
  const pod = at(request, "object");
  const name = nameOf(request, pod);
  const say = (what: Reviewed["what"], detail: string, response: JsonObject): Reviewed => ({
    answer: { apiVersion: VERSION, kind: "AdmissionReview", response: { uid, ...response } },
    what,
    detail,
    pod: name,
  });
  const kind = at(request, "kind");
  if (textAt(kind, "kind") !== "Pod" || (textAt(kind, "group") ?? "") !== "")
    return say("skipped", "it is no pod", { allowed: true });
  // A pod that is there already can get no other containers: whoever sends more than asked for is not held up by it.
  const operation = textAt(request, "operation") ?? "CREATE";
  if (operation !== "CREATE") return say("skipped", `it is not being made: ${operation}`, { allowed: true });
  if (!isObject(pod)) return { problem: "the request of this AdmissionReview has no object" };
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

function requestOf(body: string): { readonly request: JsonObject } | { readonly problem: string } {
  let parsed: Json;
  try {
    parsed = JSON.parse(body) as Json;
  } catch {
    return { problem: "this is no JSON" };
  }
  const version = textAt(parsed, "apiVersion");
  if (version !== VERSION || textAt(parsed, "kind") !== "AdmissionReview")
    return { problem: `this is no AdmissionReview of ${VERSION}${version === undefined ? "" : ` but of ${version}`}` };
  const request = at(parsed, "request");
  return isObject(request) ? { request } : { problem: "this AdmissionReview has no request" };
}

/** A pod that is being made by a controller has no name yet. */
function nameOf(request: JsonObject, pod: Json | undefined): string {
  const name =
    textAt(pod, "metadata", "name") ?? textAt(request, "name") ?? `${textAt(pod, "metadata", "generateName") ?? ""}*`;
  return `pod ${textAt(request, "namespace") ?? "default"}/${name}`;
}
