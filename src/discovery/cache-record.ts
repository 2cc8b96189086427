import type { Address } from "../core/address.ts";
import { field } from "../core/json-field.ts";
import type { CachedAnswer, EndpointSpec } from "./source.ts";

/** What a file at the path of the cache is. */
export type CacheContent =
  | { readonly kind: "answers"; readonly answers: ReadonlyMap<string, CachedAnswer> }
  /** Ours, but of no use: it is replaced. */
  | { readonly kind: "unusable"; readonly why: string }
  /** Somebody else's: it is left alone. */
  | { readonly kind: "foreign"; readonly why: string };

/** The version of the form of the file. */
const VERSION = 1;
/** How every version of the file begins, so that no file of somebody else is ever overwritten. */
const MARK = '{"outriggerDiscoveryCache":';

/** The text of the cache file. `readCache` reads it. */
export function writeCache(answers: Iterable<readonly [string, CachedAnswer]>): string {
  const list = [...answers].map(([key, { updatedAt, endpoints, routing }]) => ({ key, updatedAt, endpoints, routing }));
  return `${MARK}${VERSION},"answers":${JSON.stringify(list)}}\n`;
}

/** What a cache file says. Never throws: a file that is damaged or another program's is told apart. */
export function readCache(text: string): CacheContent {
  // A crash of the machine may leave a file of the right size without its content.
  if (/^[\s\0]*$/.test(text)) return { kind: "unusable", why: "it is empty" };
  if (!text.startsWith(MARK)) return { kind: "foreign", why: "it is no discovery cache" };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "unusable", why: "it is damaged" };
  }
  const version = field(value, "outriggerDiscoveryCache");
  if (version !== VERSION) return { kind: "unusable", why: `it has version ${String(version)}, not ${VERSION}` };
  const list = field(value, "answers");
  if (!Array.isArray(list)) return { kind: "unusable", why: "it is damaged" };
  const answers = new Map<string, CachedAnswer>();
  for (const entry of list) {
    const key = field(entry, "key");
    const updatedAt = field(entry, "updatedAt");
    const endpoints = readEndpoints(field(entry, "endpoints"));
    const routing = field(entry, "routing");
    const isRouting = routing === undefined || typeof routing === "string";
    if (typeof key !== "string" || typeof updatedAt !== "number" || endpoints === undefined || !isRouting)
      return { kind: "unusable", why: "it is damaged" };
    answers.set(key, { updatedAt, endpoints, ...(routing === undefined ? {} : { routing }) });
  }
  return { kind: "answers", answers };
}

function readEndpoints(value: unknown): EndpointSpec[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const endpoints: EndpointSpec[] = [];
  for (const entry of value) {
    const id = field(entry, "id");
    const address = readAddress(field(entry, "address"));
    const weight = field(entry, "weight");
    const zone = field(entry, "zone");
    const meta = field(entry, "meta");
    if (typeof id !== "string" || address === undefined || !isStringMap(meta)) return undefined;
    if (typeof weight !== "number" || !(weight >= 1)) return undefined;
    if (zone !== undefined && typeof zone !== "string") return undefined;
    endpoints.push({ id, address, weight, zone, meta });
  }
  return endpoints;
}

function readAddress(value: unknown): Address | undefined {
  const host = field(value, "host");
  const port = field(value, "port");
  if (field(value, "kind") !== "tcp" || typeof host !== "string" || !Number.isInteger(port)) return undefined;
  return { kind: "tcp", host, port: Number(port) };
}

function isStringMap(value: unknown): value is Record<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((entry) => typeof entry === "string");
}
