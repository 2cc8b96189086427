import { run } from "../run.ts";
import type { Command } from "./command.ts";
import { configOption, readConfigFile } from "./config-file.ts";

export const runCommand: Command = {
  summary: "the sidecar, in the foreground",
  options: { config: configOption },
  run: (input) => run({ ...readConfigFile(input), env: input.env }),
};
