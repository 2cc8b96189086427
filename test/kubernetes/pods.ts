import assert from "node:assert/strict";
import { at, isObject, type Json, type JsonObject, listAt, textAt } from "../../src/kubernetes/json-patch.ts";
import { inject } from "../../src/kubernetes/pod.ts";
import type { MeshDefaults } from "../../src/kubernetes/settings.ts";

export const defaults: MeshDefaults = {
  image: "registry.example/outrigger:1",
  mode: "native",
  capture: false,
  captureImage: undefined,
  config: `discovery: { consul: { address: "http://\${HOST_IP}:8500" } }\ndrain: { notice: 5s, grace: 25s }\n`,
};

/** A pod with one container that serves gRPC. */
export function pod(annotations: Readonly<Record<string, string>> = {}, more: JsonObject = {}): JsonObject {
  return {
    metadata: {
      name: "user-1",
      labels: { app: "user" },
      annotations: Object.fromEntries(
        Object.entries(annotations).map(([name, value]) => [`outrigger.dev/${name}`, value]),
      ),
    },
    spec: {
      containers: [{ name: "user", image: "user:1", ports: [{ name: "grpc", containerPort: 50051 }] }],
      ...more,
    },
  };
}

export function injected(given: JsonObject, mesh: MeshDefaults = defaults): JsonObject {
  const result = inject(given, mesh);
  assert.equal(result.kind, "injected", JSON.stringify(result));
  return result.pod;
}

export function problemsOf(given: JsonObject, mesh: MeshDefaults = defaults): string {
  const result = inject(given, mesh);
  assert.equal(result.kind, "refused");
  return result.problems.join("\n");
}

/** A container or volume of a pod by its name. */
export function named(list: string, name: string, from: JsonObject): JsonObject {
  const found = listAt(from, "spec", list).find((entry: Json) => textAt(entry, "name") === name);
  assert.ok(isObject(found), `${name} among ${list}`);
  return found;
}

export function names(list: string, from: JsonObject): (string | undefined)[] {
  return listAt(from, "spec", list).map((entry) => textAt(entry, "name"));
}

export function configOf(from: JsonObject): string {
  const text = at(from, "metadata", "annotations", "outrigger.dev/rendered-config");
  assert.ok(typeof text === "string");
  return text;
}
