import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";

type Mapping = Readonly<Record<string, unknown>>;

interface Node {
  readonly type?: string;
  readonly dynamic?: boolean;
  readonly properties?: Readonly<Record<string, Node>>;
}

interface Template {
  readonly template: { readonly mappings: Node & { readonly dynamic_templates: readonly Record<string, Mapping>[] } };
}

const file = join(import.meta.dirname, "..", "..", "deploy", "elk", "index-template.json");
const { mappings } = (JSON.parse(readFileSync(file, "utf8")) as Template).template;

/** What Elasticsearch would say of a document under the index template of deploy/elk: nothing, where it takes all of it. */
export function complaints(document: unknown): string[] {
  return visit("", document, mappings, mappings.dynamic === true);
}

function visit(path: string, value: unknown, node: Node, dynamic: boolean): string[] {
  if (typeof value !== "object" || value === null) return [`${path}: ${String(value)} where an object is mapped`];
  return Object.entries(value).flatMap(([name, below]) => {
    const at = path === "" ? name : `${path}.${name}`;
    const mapped = node.properties?.[name];
    if (mapped === undefined) return dynamic ? templated(at, below) : [`${at} is not mapped: it would not be found`];
    if (mapped.properties !== undefined) return visit(at, below, mapped, mapped.dynamic ?? dynamic);
    const values: readonly unknown[] = Array.isArray(below) ? below : [below];
    return values
      .filter((one) => !fits(mapped.type ?? "", one))
      .map((one) => `${at}: ${JSON.stringify(one)} is no ${mapped.type}`);
  });
}

/** A field that nobody mapped takes the type of the first value that comes, so all of them have to be of one. */
function templated(path: string, value: unknown): string[] {
  const kinds: Readonly<Record<string, string>> = { string: "string", boolean: "boolean", number: "double" };
  const kind = Array.isArray(value) ? typeof value[0] : typeof value;
  const type = kinds[kind];
  const found = mappings.dynamic_templates
    .flatMap((one) => Object.values(one))
    .some((one) => one.match_mapping_type === type);
  if (!found) return [`${path}: no dynamic template takes ${JSON.stringify(value)}`];
  const before = seen.get(path);
  seen.set(path, kind);
  return before === undefined || before === kind
    ? []
    : [`${path} was ${before} and is ${kind}: the document would be refused`];
}

const seen = new Map<string, string>();

function fits(type: string, value: unknown): boolean {
  switch (type) {
    case "date":
      return typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(value);
    case "long":
      return Number.isSafeInteger(value);
    case "double":
      return typeof value === "number" && Number.isFinite(value);
    case "ip":
      return typeof value === "string" && isIP(value) !== 0;
    case "keyword":
    case "wildcard":
    case "match_only_text":
      return typeof value === "string";
    default:
      return false;
  }
}
