import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

let collect: (() => void) | undefined;

/**
 * Collects this thread's garbage, which stops it for some milliseconds per 10 MiB of heap. V8 does so by itself as things are made; who
 * makes nothing for a while keeps what it had, buffers outside of the heap included.
 */
export function collectGarbage(): void {
  collect ??= exposed();
  collect();
}

/** The function that `--expose-gc` gives a new context: nothing of the program's own sees it. */
function exposed(): () => void {
  setFlagsFromString("--expose-gc");
  const found: unknown = runInNewContext("gc");
  return typeof found === "function" ? () => void found() : () => {};
}
