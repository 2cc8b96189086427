import { at, isObject, type JsonObject, textAt } from "./json-patch.ts";

/** Where the pod of a kind stands: the object itself, or its template. */
const places: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  PodTemplate: ["template"],
  Deployment: ["spec", "template"],
  ReplicaSet: ["spec", "template"],
  ReplicationController: ["spec", "template"],
  StatefulSet: ["spec", "template"],
  DaemonSet: ["spec", "template"],
  Job: ["spec", "template"],
  CronJob: ["spec", "jobTemplate", "spec", "template"],
};

/** The path to the pod in an object of Kubernetes; undefined where it makes no pods. */
export function podPlace(object: JsonObject): readonly string[] | undefined {
  const kind = textAt(object, "kind");
  const place = kind !== undefined && Object.hasOwn(places, kind) ? places[kind] : undefined;
  return place !== undefined && isObject(at(object, ...place, "spec")) ? place : undefined;
}

/** `Deployment/user`, for messages. */
export function nameOf(object: JsonObject): string {
  const name = textAt(object, "metadata", "name") ?? textAt(object, "metadata", "generateName") ?? "?";
  return `${textAt(object, "kind") ?? "?"}/${name}`;
}
