import type { HashPolicy } from "../../discovery/consul/chain/chain.ts";
import type { Call } from "../../http/call.ts";
import { cookie } from "../../http/cookie.ts";
import { parameter } from "../../http/path-query.ts";

/** What calls are kept together by. */
export type HashSettings =
  | { readonly by: "metadata"; readonly name: string }
  | { readonly by: "identity" }
  | { readonly by: "path" }
  /** Of all of these together, in their order. */
  | { readonly by: "parts"; readonly parts: readonly HashPolicy[] };

/**
 * A function that finds the hash of what a call is kept together by; undefined where the call has nothing of the kind.
 *
 * @param own The identity that this sidecar has: that of the application beside it, whose calls come without one.
 */
export function hashKey(
  settings: HashSettings,
  own: () => string | undefined = () => undefined,
): (call: Call) => number | undefined {
  switch (settings.by) {
    case "metadata": {
      const { name } = settings;
      return ({ head }) => hashOf(head.get(name));
    }
    case "identity":
      return ({ identity }) => hashOf(identity ?? own());
    case "path":
      return ({ path }) => hashText(path);
    case "parts":
      return hashOfParts(settings.parts);
  }
}

/** As Envoy puts hash policies together: each turns what those before it have come to. */
function hashOfParts(parts: readonly HashPolicy[]): (call: Call) => number | undefined {
  return (call) => {
    let hash: number | undefined;
    for (const part of parts) {
      const own = hashOf(textOf(part, call));
      if (own !== undefined) hash = hash === undefined ? own : (((hash << 1) | (hash >>> 31)) ^ own) >>> 0;
      if (part.terminal && hash !== undefined) break;
    }
    return hash;
  };
}

function textOf({ from, name }: HashPolicy, { head, path, peer }: Call): string | undefined {
  switch (from) {
    case "header":
      return head.get(name);
    case "cookie":
      return cookie(head, name);
    case "query":
      return parameter(path, name);
    case "source":
      // Each connection of a caller has another port.
      return peer.replace(/:\d+$/, "");
  }
}

function hashOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : hashText(text);
}

/** 32 bits of a text: MurmurHash3 over its UTF-16 units, since every sidecar has to come to the same. */
export function hashText(text: string, seed = 0): number {
  let hash = seed;
  for (let at = 0; at < text.length; at++) {
    let unit = Math.imul(text.charCodeAt(at), 0xcc9e2d51);
    unit = (unit << 15) | (unit >>> 17);
    hash ^= Math.imul(unit, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  return mix(hash ^ text.length);
}

/** Spreads 32 bits: the finaliser of MurmurHash3. */
export function mix(bits: number): number {
  let hash = bits;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
