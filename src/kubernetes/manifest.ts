import { type Document, isAlias, isCollection, isMap, isScalar, parseAllDocuments } from "yaml";
import {
  at,
  difference,
  isObject,
  type Json,
  type JsonObject,
  keysOf,
  listAt,
  type PatchOperation,
} from "./json-patch.ts";
import { inject } from "./pod.ts";
import type { MeshDefaults } from "./settings.ts";
import { plainMessage } from "./sidecar-config.ts";
import { nameOf, podPlace } from "./workloads.ts";

/** A manifest with the sidecar in its pods. */
export interface InjectedManifest {
  readonly text: string;
  /** A line for each object: what became of it. */
  readonly notes: readonly string[];
}

/** A manifest with the sidecar in every pod that it makes; a problem is a sentence that names the object. */
export type ManifestResult = InjectedManifest | { readonly problems: readonly string[] };

/**
 * Puts the sidecar into a manifest of one or many documents. What it does not change stays as it was written, comments and
 * order included. `file` is for messages.
 */
export function injectManifest(text: string, file: string, defaults: MeshDefaults): ManifestResult {
  // Kubernetes reads YAML 1.1, where `yes` and `on` are booleans: so are they here.
  const documents = parseAllDocuments(text, { version: "1.1", keepSourceTokens: false });
  if (!Array.isArray(documents)) return { text, notes: [] };
  const problems: string[] = [];
  const notes: string[] = [];
  for (const document of documents) {
    for (const error of document.errors) {
      const start = error.linePos?.[0];
      problems.push(`${file}:${start?.line ?? 1}:${start?.col ?? 1}: ${plainMessage(error)}`);
    }
    if (document.errors.length > 0) continue;
    let object: Json;
    try {
      object = document.toJS() as Json;
    } catch (error) {
      // An alias of nothing, or of what grows beyond all bounds, shows only here.
      problems.push(`${file}: ${error instanceof Error ? error.message : String(error)}`);
      continue;
    }
    if (!isObject(object)) continue;
    injectInto(document, object, [], { file, defaults, problems, notes });
  }
  if (problems.length > 0) return { problems };
  const written = documents.map((document) => document.toString({ lineWidth: 0, directives: null }));
  return { text: joined(written), notes };
}

interface Work {
  readonly file: string;
  readonly defaults: MeshDefaults;
  readonly problems: string[];
  readonly notes: string[];
}

function injectInto(document: Document, object: JsonObject, path: readonly (string | number)[], work: Work): void {
  if (at(object, "kind") === "List" || Array.isArray(at(object, "items"))) {
    for (const [index, item] of listAt(object, "items").entries())
      if (isObject(item)) injectInto(document, item, [...path, "items", index], work);
    return;
  }
  const place = podPlace(object);
  if (place === undefined) return;
  const pod = at(object, ...place);
  if (!isObject(pod)) return;
  const result = inject(pod, work.defaults);
  switch (result.kind) {
    case "injected":
      for (const operation of difference(pod, result.pod)) apply(document, [...path, ...place], operation);
      work.notes.push([`${nameOf(object)}: has the sidecar`, ...result.warnings].join("; "));
      return;
    case "skipped":
      work.notes.push(`${nameOf(object)}: left alone: ${result.why}`);
      return;
    case "refused":
      for (const problem of result.problems) work.problems.push(`${work.file}: ${nameOf(object)}: ${problem}`);
  }
}

/**
 * Writes out what leads to a place by aliases (`*x`) or merges (`<<`): what is set there must change neither what others
 * share nor what would still be merged.
 */
function writeOut(document: Document, place: readonly (string | number)[]): void {
  for (let depth = 1; depth < place.length; depth++) {
    const prefix = place.slice(0, depth);
    if (!isShared(document.getIn(prefix, true))) continue;
    document.setIn(prefix, document.createNode(at(document.toJS() as Json, ...prefix)));
  }
}

/** An alias, or a mapping into which others are merged: the key `<<` is a symbol where it means that. */
function isShared(node: unknown): boolean {
  return isAlias(node) || (isMap(node) && node.items.some(({ key }) => isScalar(key) && typeof key.value === "symbol"));
}

function apply(document: Document, path: readonly (string | number)[], operation: PatchOperation): void {
  const place = [...path, ...keysOf(operation.path)];
  writeOut(document, place);
  if (operation.op === "remove") {
    document.deleteIn(place);
    return;
  }
  // What is new is written in blocks; inside of `{}` it could not be, so what is around it is, too.
  for (let depth = 0; depth < place.length; depth++) {
    const around = document.getIn(place.slice(0, depth), true);
    if (isCollection(around)) around.flow = false;
  }
  document.setIn(place, document.createNode(operation.value));
}

/** The documents as one text, with the marks between them that YAML wants. */
function joined(documents: readonly string[]): string {
  return documents.map((text) => text.replace(/^---\n/, "")).join("---\n");
}
