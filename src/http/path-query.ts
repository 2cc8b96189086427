/** A `:path` without its query (RFC 3986 §3.4). */
export function withoutQuery(path: string): string {
  const at = path.indexOf("?");
  return at < 0 ? path : path.slice(0, at);
}

/** A parameter of a path's query; undefined where it has none of that name. */
export function parameter(path: string, name: string): string | undefined {
  const at = path.indexOf("?");
  return at < 0 ? undefined : (new URLSearchParams(path.slice(at + 1)).get(name) ?? undefined);
}
