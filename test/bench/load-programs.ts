import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { runProcess } from "../support/process.ts";

/** The two programs of `load/`, built. */
export interface LoadPrograms {
  readonly loadgen: string;
  readonly upstream: string;
}

const SOURCES = join(import.meta.dirname, "load");
const BUILT = join(import.meta.dirname, "..", "..", "node_modules", ".cache", "outrigger-bench");

/** Builds the Go programs where a source is newer than what is there. */
export async function buildLoadPrograms(): Promise<LoadPrograms> {
  const programs = { loadgen: join(BUILT, "loadgen"), upstream: join(BUILT, "upstream") };
  const newest = Math.max(
    ...readdirSync(SOURCES, { recursive: true, encoding: "utf8" }).map((name) => changed(join(SOURCES, name))),
  );
  if (Object.values(programs).every((program) => existsSync(program) && changed(program) > newest)) return programs;

  mkdirSync(BUILT, { recursive: true });
  const built = await runProcess("go", ["build", "-trimpath", "-o", `${BUILT}/`, "./loadgen", "./upstream"], {
    cwd: SOURCES,
    timeout: 300_000,
  });
  if (built.code !== 0) throw new Error(`go build in test/bench/load failed: ${built.stderr}`);
  return programs;
}

function changed(path: string): number {
  return statSync(path).mtimeMs;
}
