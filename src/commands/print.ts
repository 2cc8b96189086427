import { printConfig } from "../config/print.ts";
import { type Command, print } from "./command.ts";
import { configOption, jsonOption, readConfigFile } from "./config-file.ts";

/** `outrigger print`. */
export const printCommand: Command = {
  summary: "the effective configuration, each value with where it comes from",
  options: { config: configOption, json: jsonOption },
  run(input) {
    const { file, text } = readConfigFile(input);
    return print(printConfig(text, { file, env: input.env, json: input.has("json") }));
  },
};
