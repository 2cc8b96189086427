import { remembered } from "../core/remembered.ts";

/** Paths with nothing in them that somebody might read in another way. */
const plain = /^(\/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+\/?$/;
/** What some containers of Java leave out of a path before they look at its dots (RFC 3986 §3.3): `/..;a`. */
const parameters = /\/(\.\.?);[^/]*/g;
/** Characters that mean the same when they are encoded (RFC 3986 §2.3). */
const unreserved = /^[A-Za-z0-9._~-]$/;

/**
 * The paths that an application may read in a `:path`: without the query, as it is written, and as RFC 3986 §6 has it normalised;
 * the same once more with encoded and repeated slashes taken for one, and dots for dots whatever parameters they have.
 */
export const pathReadings: (path: string) => readonly string[] = remembered((path) => {
  const written = path.split(/[?#]/, 1)[0] ?? "";
  if (plain.test(written)) return [written];
  const decoded = written.replaceAll(/%([0-9A-Fa-f]{2})/g, (encoded, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return unreserved.test(character) ? character : encoded;
  });
  const joined = decoded
    .replaceAll(/%2f|%5c|\\/gi, "/")
    .replaceAll(/\/+/g, "/")
    .replaceAll(parameters, "/$1");
  return [...new Set([written, withoutDots(decoded), withoutDots(joined)])];
});

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
