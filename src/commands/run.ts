import { parseDuration } from "../config/schema/units.ts";
import { run } from "../run.ts";
import { type Command, UsageError } from "./command.ts";
import { configOption, readConfigFile } from "./config-file.ts";

/** `outrigger run`. */
export const runCommand: Command = {
  summary: "the sidecar, in the foreground; with a program as the parent of the application",
  options: {
    config: configOption,
    wait: {
      value: "DURATION",
      doc: "how long the program waits for the sidecar to get ready before it is given up; default: 2m",
    },
  },
  program: "optional",
  run(input) {
    const wait = input.value("wait");
    if (wait !== undefined && input.program.length === 0)
      throw new UsageError("--wait has no effect without a program");
    const patience = wait === undefined ? undefined : parseDuration(wait);
    if (patience?.kind === "problem") throw new UsageError(`--wait: ${patience.message}`);
    return run({
      ...readConfigFile(input),
      env: input.env,
      ...(input.program.length === 0 ? {} : { command: input.program }),
      ...(patience === undefined ? {} : { patience: patience.value }),
    });
  },
};
