import { hash } from "node:crypto";
import type { Call } from "../http/call.ts";
import { hostOf } from "../http/callers.ts";

/** What tells the calls of a limit apart: a word, or `metadata.NAME`. */
export type KeyPart = "method" | "upstream" | "identity" | "remote.address" | `metadata.${string}`;

/** Longer keys are kept as a digest of a fixed size: a caller chooses metadata of any length. */
const LONGEST = 128;

/**
 * The key of a call. A part that the call does not have is empty, so that calls without it share one allowance: leaving a
 * field out is no way around a limit.
 */
export function compileKey(parts: readonly KeyPart[]): (call: Call) => string {
  const [only, ...others] = parts.map(reader);
  if (only === undefined) return () => "";
  const read = (call: Call): string => {
    let key = only(call);
    // No value of HTTP holds a NUL, so that no two lists of values make the same key.
    for (const other of others) key += `\0${other(call)}`;
    return key;
  };
  return (call) => {
    const key = read(call);
    return shortened(key);
  };
}

/** The same, of which the parts can be told apart again: by NUL. A long one stands there as a digest. */
export function compileParts(parts: readonly KeyPart[]): (call: Call) => string {
  const readers = parts.map(reader);
  return (call) => readers.map((read) => shortened(read(call))).join("\0");
}

function shortened(text: string): string {
  return text.length <= LONGEST ? text : `sha256:${hash("sha256", text)}`;
}

/** What Envoy calls the parts of a call; services are configured by these words. */
const descriptorKeys: Readonly<Record<string, string>> = {
  "remote.address": "remote_address",
  upstream: "destination_cluster",
};

/** The name of a part in descriptors and buckets. */
export function descriptorKey(part: KeyPart): string {
  return descriptorKeys[part] ?? (part.startsWith("metadata.") ? part.slice("metadata.".length) : part);
}

/** One part of a call, as a rate limit service wants it. */
export function reader(part: KeyPart): (call: Call) => string {
  switch (part) {
    case "method":
      return (call) => call.path.slice(1);
    case "upstream":
      return (call) => call.upstream;
    case "identity":
      return (call) => call.identity ?? "";
    case "remote.address":
      return (call) => hostOf(call.peer);
    default: {
      const name = part.slice("metadata.".length);
      return (call) => call.head.get(name) ?? "";
    }
  }
}
