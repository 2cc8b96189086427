import { readFileSync } from "node:fs";
import { injectManifest } from "../kubernetes/manifest.ts";
import { type Command, Exit, UsageError } from "./command.ts";
import { meshOptions, readMeshDefaults } from "./mesh-defaults.ts";

/** `outrigger inject`. */
export const injectCommand: Command = {
  summary: "puts the sidecar into the pods of a Kubernetes manifest",
  options: { filename: { short: "f", value: "FILE", doc: "the manifest; - reads standard input" }, ...meshOptions },
  run(input) {
    const file = input.value("filename");
    if (file === undefined) throw new UsageError("outrigger inject needs -f FILE; -f - reads standard input");
    if (file === "-" && input.value("config") === "-")
      throw new UsageError("only one of -f and -c can be standard input");
    const defaults = readMeshDefaults(input);
    let text: string;
    try {
      text = readFileSync(file === "-" ? 0 : file, "utf8");
    } catch (error) {
      throw new UsageError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
    const result = injectManifest(text, file === "-" ? "<stdin>" : file, defaults);
    if ("problems" in result) {
      process.stderr.write(`${result.problems.join("\n")}\n`);
      return Exit.USAGE;
    }
    process.stdout.write(result.text);
    for (const note of result.notes) process.stderr.write(`${note}\n`);
    return Exit.OK;
  },
};
