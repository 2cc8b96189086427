import { remembered } from "../core/remembered.ts";

/** Paths with nothing in them that somebody might read in another way. */
const plain = /^(\/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+\/?$/;
/** What containers of Java leave out of a path before they look at it (RFC 3986 §3.3): `/a;b/..;c` is `/a/..` to them. */
const parameters = /;[^/]*/g;
/** Characters that mean the same when they are encoded (RFC 3986 §2.3). */
const unreserved = /^[A-Za-z0-9._~-]$/;

/**
 * The paths that an application may read in a `:path`: without the query, as it is written, and as RFC 3986 §6 has it normalised;
 * the same once more with encoded and repeated slashes taken for one, with parameters and without. Some take `#` for the end of a
 * path, others for a part of it.
 */
export const pathReadings: (path: string) => readonly string[] = remembered((path) => {
  const [written = ""] = path.split("?", 1);
  if (plain.test(written)) return [written];
  const [shorter = ""] = written.split("#", 1);
  return [...new Set([...readingsOf(shorter), ...readingsOf(written)])];
});

function readingsOf(written: string): string[] {
  const decoded = written.replaceAll(/%([0-9A-Fa-f]{2})/g, (encoded, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return unreserved.test(character) ? character : encoded.toUpperCase();
  });
  const bare = decoded.replaceAll(parameters, "");
  return [written, ...[decoded, withOneSlash(decoded), withOneSlash(bare)].map(withoutDots)];
}

function withOneSlash(path: string): string {
  return path.replaceAll(/%2F|%5C|\\/g, "/").replaceAll(/\/+/g, "/");
}

/** RFC 3986 §5.2.4. */
function withoutDots(path: string): string {
  const kept: string[] = [];
  const parts = path.split("/");
  for (const [at, part] of parts.entries()) {
    const isDots = part === "." || part === "..";
    if (part === ".." && kept.length > 1) kept.pop();
    if (!isDots) kept.push(part);
    else if (at === parts.length - 1) kept.push("");
  }
  return kept.join("/");
}
