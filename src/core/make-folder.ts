import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder, and those that it is in, where they are not there; `mode` is for all that are made. Rejects where one cannot be
 * made. The `recursive` of Node.js never returns where the system says ENOENT of a folder in one that exists, as it does under /proc.
 */
export async function makeFolder(path: string, mode?: number): Promise<void> {
  if (await made(path, mode)) return;
  const parent = dirname(path);
  if (parent !== path) await makeFolder(parent, mode);
  await mkdir(path, { mode }).catch(ignoreExisting);
}

/** False where what it would be in is not there. */
async function made(path: string, mode: number | undefined): Promise<boolean> {
  try {
    await mkdir(path, { mode });
    return true;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    ignoreExisting(error);
    return true;
  }
}

/** What is there and is no folder is found out by whoever writes into it. */
function ignoreExisting(error: unknown): void {
  if (codeOf(error) !== "EEXIST" && codeOf(error) !== "EISDIR") throw error;
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
