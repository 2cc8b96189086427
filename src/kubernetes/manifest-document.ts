import { type Document, isAlias, isCollection, isMap, isNode, isScalar, isSeq, type YAMLSeq } from "yaml";
import { at, difference, type Json, type JsonObject, keysOf, type PatchOperation } from "./json-patch.ts";

/** Makes `after` of `before`, which stands at a place in a document; whatever stays is the node that it was, comments and all. */
export function changeDocument(
  document: Document,
  path: readonly (string | number)[],
  before: JsonObject,
  after: JsonObject,
): void {
  for (const operation of difference(before, after)) apply(document, [...path, ...keysOf(operation.path)], operation);
}

function apply(document: Document, place: readonly (string | number)[], operation: PatchOperation): void {
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
  const old = document.getIn(place, true);
  if (isSeq(old) && Array.isArray(operation.value)) changeList(document, old, operation.value);
  else document.setIn(place, document.createNode(operation.value));
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

function changeList(document: Document, list: YAMLSeq, entries: readonly Json[]): void {
  const [first] = list.items;
  // The parser takes what stands above the first entry for a comment of the list; before a new first entry it would be of that one.
  if (isNode(first) && typeof list.commentBefore === "string") {
    first.commentBefore = list.commentBefore;
    list.commentBefore = null;
  }
  const before = list.toJS(document) as Json[];
  const left = list.items.map((node, index) => ({ node, text: JSON.stringify(before[index]) }));
  list.items = entries.map((entry) => {
    const text = JSON.stringify(entry);
    const found = left.findIndex((one) => one.text === text);
    return found === -1 ? document.createNode(entry) : left.splice(found, 1)[0]?.node;
  });
  list.flow = false;
}
