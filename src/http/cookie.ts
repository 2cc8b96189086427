import type { Head } from "./headers.ts";

/** The value of a cookie of a request (RFC 6265 §4.2.1), which may have several fields of them (RFC 9113 §8.2.3). */
export function cookie(head: Head, name: string): string | undefined {
  if (head.get("cookie") === undefined) return undefined;
  for (const [field, value] of head.entries()) {
    if (field !== "cookie") continue;
    for (const pair of value.split(";")) {
      const at = pair.indexOf("=");
      if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
    }
  }
  return undefined;
}
