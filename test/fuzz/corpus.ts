import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "..", "fixtures", "fuzz");

function pathOf(target: string): string {
  return join(FOLDER, `${target}.txt`);
}

/** The inputs of a target that are kept: a line each, in hexadecimal. Lines with # are for people. */
export function readCorpus(target: string): Buffer[] {
  if (!existsSync(pathOf(target))) return [];
  return readFileSync(pathOf(target), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => Buffer.from(line, "hex"));
}

export function writeCorpus(target: string, inputs: readonly Buffer[]): void {
  const head = [
    `# Inputs for test/fuzz/${target}.ts, the fewest that were found which together reach all that any has reached.`,
    "# Written by node test/fuzz/fuzz.ts --grow. An input that failed once is put in by hand, with what it was above it.",
  ];
  // What was put in by hand stays.
  const found = existsSync(pathOf(target)) ? foundOnce(readFileSync(pathOf(target), "utf8")) : [];
  const lines = inputs.map((input) => input.toString("hex")).filter((line) => !found.includes(line));
  writeFileSync(pathOf(target), `${[...head, ...found, ...lines].join("\n")}\n`);
}

/** The comments behind the head of a file, each with the line that it stands above. */
function foundOnce(text: string): string[] {
  const lines = text.split("\n").slice(2);
  return lines.flatMap((line, at) => (line.startsWith("#") ? [line, lines[at + 1] ?? ""] : []));
}
