import { withField } from "../http/head-edit.ts";
import type { Head, HeaderTable } from "../http/headers.ts";

/**
 * How a call that sidecars pass round in a circle is found out: it says how many it has come through. Only a sidecar says that to
 * another, and only from the second one on, so that a call between two services costs and carries nothing.
 */
const HOPS = "outrigger-hops";

/** Sidecars that a call may come through. Two services have two, and each gateway between them has one or two more. */
export const MAX_HOPS = 16;

/** How many sidecars a call has come through that another one sent: `head` as it came, `clean` without what was in our name. */
export function hopsOf(head: Head, clean: Head): number {
  // The same object where nothing was said in our name: then that sidecar was the first.
  if (head === clean) return 1;
  const text = head.get(HOPS) ?? "";
  return /^[0-9]{1,3}$/.test(text) ? Math.max(1, Number(text)) : 1;
}

/** The head as the next sidecar gets it. */
export function countedHead(table: HeaderTable, head: Head, hops: number): Head {
  return withField(table, head, HOPS, String(hops + 1));
}
