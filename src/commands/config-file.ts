import { readFileSync } from "node:fs";
import { STDIN } from "../run.ts";
import { type Input, type Option, UsageError } from "./command.ts";

/** Where a configuration is looked for when none is named. */
const DEFAULT_FILES = ["./outrigger.yaml", "/etc/outrigger/outrigger.yaml"];

/** The option `--config` of commands that read a configuration. */
export const configOption: Option = {
  short: "c",
  value: "FILE",
  doc: `the configuration; - reads standard input; without it ${DEFAULT_FILES.join(", then ")}`,
};

/** The option `--json` of commands whose result can be read by programs. */
export const jsonOption: Option = { doc: "the result as JSON" };

/** Reads the configuration that a command was given. Throws a UsageError where there is none. */
export function readConfigFile(input: Input): { readonly file: string; readonly text: string } {
  const named = input.value("config");
  if (named === "-") return { file: STDIN, text: readFileSync(0, "utf8") };
  for (const file of named === undefined ? DEFAULT_FILES : [named]) {
    try {
      return { file, text: readFileSync(file, "utf8") };
    } catch (error) {
      const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (named === undefined && missing) continue;
      throw new UsageError(`cannot read ${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new UsageError(`there is no ${DEFAULT_FILES.join(" and no ")}; name a file with -c FILE`);
}
