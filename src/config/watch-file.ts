import { type FSWatcher, realpathSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock, Timer } from "../core/clock.ts";

/** Milliseconds without a further write after which a file counts as written. */
const QUIET = 75;
/** Milliseconds between looks at a file whose folder tells of no changes, as some network file systems do not. */
const LOOK = 2000;

/**
 * Calls back when a file may have changed: written in place, replaced by a rename, or reached through a symlink that was
 * swapped beside it or on the way to it, as Kubernetes does it with a ConfigMap. Whether its text differs is for the caller to
 * find out. Returns what ends the watch.
 */
export function watchFile(file: string, clock: Clock, changed: () => void): () => void {
  const watchers = new Map<string, FSWatcher>();
  let quiet: Timer | undefined;
  let look: Timer | undefined;

  const settle = (): void => {
    quiet?.cancel();
    quiet = clock.setTimer(QUIET, () => {
      follow();
      changed();
    });
  };
  /** Watches the folder of the name and the one of what it leads to: either may hold the link that is swapped. */
  const follow = (): void => {
    const folders = new Set([dirname(file), realFolder(file)].filter((folder) => folder !== undefined));
    for (const [folder, watcher] of watchers) {
      if (folders.has(folder)) continue;
      watcher.close();
      watchers.delete(folder);
    }
    for (const folder of folders) {
      if (watchers.has(folder)) continue;
      const watcher = tryWatch(folder, (name) => {
        // Links that lead to the file have other names than it: "..data" of a ConfigMap.
        if (name === null || name === basename(file) || name.startsWith("..") || folder !== dirname(file)) settle();
      });
      if (watcher === undefined) continue;
      watchers.set(folder, watcher.unref());
      watcher.on("error", () => {
        watcher.close();
        watchers.delete(folder);
      });
    }
  };
  const lookAgain = (): void => {
    look = clock.setTimer(LOOK, () => {
      follow();
      changed();
      lookAgain();
    });
  };
  follow();
  lookAgain();
  return () => {
    quiet?.cancel();
    look?.cancel();
    for (const watcher of watchers.values()) watcher.close();
    watchers.clear();
  };
}

function realFolder(file: string): string | undefined {
  try {
    return dirname(realpathSync(file));
  } catch {
    return undefined; // It is being replaced, or gone; the folder of its name tells when it is back.
  }
}

function tryWatch(folder: string, told: (name: string | null) => void): FSWatcher | undefined {
  try {
    return watch(folder, (_event, name) => told(name));
  } catch {
    return undefined;
  }
}
