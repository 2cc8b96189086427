/** Runs a task once the caller has gone on, unless it is cancelled before. */
export function later(task: () => void): () => void {
  let cancelled = false;
  queueMicrotask(() => {
    if (!cancelled) task();
  });
  return () => {
    cancelled = true;
  };
}
