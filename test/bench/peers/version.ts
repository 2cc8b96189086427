import { runProcess } from "../../support/process.ts";

/** The version that a program prints about itself: the first group of the pattern, or "of an unknown version". */
export async function versionOf(program: string, args: readonly string[], pattern: RegExp): Promise<string> {
  const { stdout, stderr } = await runProcess(program, args, { timeout: 10_000 });
  return pattern.exec(stdout + stderr)?.[1] ?? "of an unknown version";
}
