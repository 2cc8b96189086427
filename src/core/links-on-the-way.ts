import { readlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** Links that are followed: the limit of Linux (path_resolution(7)). */
const MAX_LINKS = 40;

/**
 * Where a name leads, followed link by link: every link on the way, its folder's own links included, and the file in the end,
 * whether or not it is there. A name changes what it leads to when one of them is replaced.
 */
export function namesOnTheWay(file: string): string[] {
  const found: string[] = [];
  let rest = resolve(file).split("/").slice(1);
  let at = "/";
  for (let links = 0; rest.length > 0; ) {
    const [name = "", ...after] = rest;
    const path = join(at, name);
    const target = targetOf(path);
    if (target === undefined || links === MAX_LINKS) {
      at = path;
      rest = after;
      continue;
    }
    links++;
    found.push(path);
    rest = [...resolve(dirname(path), target).split("/").slice(1), ...after];
    at = "/";
  }
  return [...found, at];
}

/** Where a link points; undefined where there is none. */
function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
