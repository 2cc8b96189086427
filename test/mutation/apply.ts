import type { Patch } from "./patches.ts";

/** The text of a file with the patch in it. Throws where what it replaces is not there exactly once. */
export function applied(patch: Patch, text: string): string {
  const found = text.split(patch.from).length - 1;
  if (found !== 1)
    throw new Error(`the patch "${patch.name}" no longer applies: ${patch.file} has its text ${found} times`);
  return text.replace(patch.from, () => patch.to);
}
