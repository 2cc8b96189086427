import { type FSWatcher, statSync, watch } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { Clock, Timer } from "./clock.ts";
import { namesOnTheWay } from "./links-on-the-way.ts";

/** Milliseconds without a further write after which a file counts as written. */
const QUIET = 75;
/** Milliseconds between looks at a file whose folder tells of no changes, as some network file systems do not. */
const LOOK = 2000;

/** Who is told of changes in a folder: `name` as the system has it, or null where it does not say. */
type Told = (name: string | null) => void;

/** `node:fs` as far as it is needed: what ends the watch; undefined where the folder cannot be watched. */
export type WatchFolder = (folder: string, told: Told, failed: () => void) => (() => void) | undefined;

/**
 * Calls back when a file may have changed: written in place, replaced by a rename, or reached through a symlink that was
 * swapped beside it or on the way to it, as Kubernetes does it with a ConfigMap. Whether its text differs is for the caller to
 * find out. Returns what ends the watch.
 */
export function watchFile(
  file: string,
  clock: Clock,
  changed: () => void,
  watchFolder: WatchFolder = systemWatch,
): () => void {
  const path = resolve(file);
  const folders = new Map<string, { names: ReadonlySet<string>; readonly stop: () => void }>();
  let quiet: Timer | undefined;
  let look: Timer | undefined;

  const settle = (): void => {
    // What the name leads to may be another file from now on, which may be written while this one is waited for.
    follow();
    quiet?.cancel();
    const before = stamp(path);
    quiet = clock.setTimer(QUIET, () => {
      quiet = undefined;
      // A folder that tells of no changes does not say that the file is still being written.
      if (stamp(path) !== before) return settle();
      follow();
      changed();
    });
  };
  /** Watches the folder of every link on the way and of the file, for those names. */
  const follow = (): void => {
    const wanted = new Map<string, Set<string>>();
    for (const name of [path, ...namesOnTheWay(path)]) {
      const names = wanted.get(dirname(name)) ?? new Set();
      wanted.set(dirname(name), names.add(basename(name)));
    }
    for (const [folder, { stop }] of folders) {
      if (wanted.has(folder)) continue;
      stop();
      folders.delete(folder);
    }
    for (const [folder, names] of wanted) {
      const known = folders.get(folder);
      if (known !== undefined) known.names = names;
      else open(folder, names);
    }
  };
  const open = (folder: string, names: ReadonlySet<string>): void => {
    const gone = (): void => {
      folders.get(folder)?.stop();
      folders.delete(folder);
      settle();
    };
    const told: Told = (name) => {
      // The system names a folder that was itself removed or renamed as it names what is in it.
      if (name === basename(folder)) gone();
      else if (name === null || folders.get(folder)?.names.has(name) === true) settle();
    };
    const stop = watchFolder(folder, told, gone);
    if (stop !== undefined) folders.set(folder, { names, stop });
  };
  const lookAgain = (): void => {
    look = clock.setTimer(LOOK, () => {
      if (quiet === undefined) settle();
      lookAgain();
    });
  };
  follow();
  lookAgain();
  return () => {
    quiet?.cancel();
    look?.cancel();
    for (const { stop } of folders.values()) stop();
    folders.clear();
  };
}

/** Changes when what the name leads to is written or replaced. */
function stamp(path: string): string | undefined {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch {
    return undefined;
  }
}

function systemWatch(folder: string, told: Told, failed: () => void): (() => void) | undefined {
  let watcher: FSWatcher;
  try {
    watcher = watch(folder, (_event, name) => told(name));
  } catch {
    return undefined;
  }
  watcher.unref();
  watcher.on("error", () => {
    watcher.close();
    failed();
  });
  return () => watcher.close();
}
