import type { ChangePage, PageLimits, UserRepository } from "../repository/user.ts";

/** What one read of the changes holds at most, in a feed's memory while its reader is slow. */
const LIMITS: PageLimits = { items: 100, bytes: 256 * 1024 };

/**
 * Pages of changes after a revision: the first one at once, even if it is empty, then as changes come. Ends after a
 * page that is out of range, and throws when the signal is aborted or the store fails.
 *
 * Changes are read when the reader asks for them and never pushed: a slow reader costs one page of memory, however
 * many changes it is behind, and finds each user in its latest state only.
 */
export async function* changeFeed(
  repository: UserRepository,
  after: bigint,
  signal: AbortSignal,
): AsyncGenerator<ChangePage, void> {
  let changed = false;
  let wake = () => {};
  const stopListening = repository.onChange(() => {
    changed = true;
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener("abort", onAbort);
  try {
    let revision = after;
    for (;;) {
      // Before the read: what changes while it is read is for the next one.
      changed = false;
      const page = await repository.changes(revision, LIMITS, signal);
      yield page;
      if (page.kind === "outOfRange") return;
      const last = page.changes.at(-1);
      if (last === undefined)
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (changed || signal.aborted) resolve();
        });
      else revision = last.revision;
      signal.throwIfAborted();
    }
  } finally {
    stopListening();
    signal.removeEventListener("abort", onAbort);
  }
}
