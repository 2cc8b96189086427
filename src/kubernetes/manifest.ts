import { type Document, parseAllDocuments } from "yaml";
import { at, difference, isObject, type Json, type JsonObject, keysOf, listAt, patched } from "./json-patch.ts";
import { changeDocument } from "./manifest-document.ts";
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
 * Puts the sidecar into a manifest: of JSON, or of one or many documents of YAML. What it does not change stays as it was
 * written, comments and order included. `file` is for messages.
 */
export function injectManifest(text: string, file: string, defaults: MeshDefaults): ManifestResult {
  const work: Work = { file, defaults, problems: [], notes: [] };
  const json = parseJson(text);
  const written = json === undefined ? injectYaml(text, work) : injectJson(json, text, work);
  return work.problems.length > 0 ? { problems: work.problems } : { text: written, notes: work.notes };
}

interface Work {
  readonly file: string;
  readonly defaults: MeshDefaults;
  readonly problems: string[];
  readonly notes: string[];
}

/** Where a pod stands, as it was and as it is to be. */
interface Change {
  readonly path: readonly (string | number)[];
  readonly before: JsonObject;
  readonly after: JsonObject;
}

/** An object as JSON; undefined: it is YAML, or several objects one after another, which YAML's reader takes as well. */
function parseJson(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text) as Json;
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function injectJson(object: JsonObject, text: string, work: Work): string {
  let changed: Json = object;
  for (const { path, before, after } of changesOf(object, [], work))
    for (const operation of difference(before, after))
      changed = patched(changed, [...path, ...keysOf(operation.path)], operation);
  const [, indentation = ""] = /^\s*\{\s*?\n([ \t]+)"/.exec(text) ?? [];
  return JSON.stringify(changed, null, indentation) + (text.endsWith("\n") ? "\n" : "");
}

function injectYaml(text: string, work: Work): string {
  // Kubernetes reads YAML 1.1, where `yes` and `on` are booleans: so are they here.
  const documents = parseAllDocuments(text, { version: "1.1", keepSourceTokens: false });
  if (!Array.isArray(documents)) return text;
  let end = 0;
  let written = "";
  for (const document of documents) {
    const asItWas = text.slice(end, document.range[2]);
    end = document.range[2];
    const changed = injectInto(document, work);
    // Between documents YAML wants a mark, which is part of the later one.
    if (changed === undefined) written += asItWas;
    else if (written === "" && !asItWas.startsWith("---")) written = changed;
    else written += `${written === "" || written.endsWith("\n") ? "" : "\n"}---\n${changed}`;
  }
  return written + text.slice(end);
}

/** A document with its sidecars, as text without a mark before it; undefined where it stays as it was, or is wrong. */
function injectInto(document: Document.Parsed, work: Work): string | undefined {
  for (const error of document.errors) {
    const start = error.linePos?.[0];
    work.problems.push(`${work.file}:${start?.line ?? 1}:${start?.col ?? 1}: ${plainMessage(error)}`);
  }
  if (document.errors.length > 0) return undefined;
  let object: Json;
  try {
    object = document.toJS() as Json;
  } catch (error) {
    // An alias of nothing, or of what grows beyond all bounds, shows only here.
    work.problems.push(`${work.file}: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
  if (!isObject(object)) return undefined;
  const changes = changesOf(object, [], work);
  for (const { path, before, after } of changes) changeDocument(document, path, before, after);
  if (changes.length === 0) return undefined;
  return document.toString({ lineWidth: 0, directives: null }).replace(/^---\n/, "");
}

function changesOf(object: JsonObject, path: Change["path"], work: Work): readonly Change[] {
  if (at(object, "kind") === "List" || Array.isArray(at(object, "items")))
    return listAt(object, "items").flatMap((item, index) =>
      isObject(item) ? changesOf(item, [...path, "items", index], work) : [],
    );
  const place = podPlace(object);
  if (place === undefined) return [];
  const pod = at(object, ...place);
  if (!isObject(pod)) return [];
  const result = inject(pod, work.defaults);
  switch (result.kind) {
    case "injected":
      work.notes.push([`${nameOf(object)}: has the sidecar`, ...result.warnings].join("; "));
      return [{ path: [...path, ...place], before: pod, after: result.pod }];
    case "skipped":
      work.notes.push(`${nameOf(object)}: left alone: ${result.why}`);
      return [];
    case "refused":
      for (const problem of result.problems) work.problems.push(`${work.file}: ${nameOf(object)}: ${problem}`);
      return [];
  }
}
