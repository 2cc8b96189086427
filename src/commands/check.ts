import { checkText } from "../config/check-text.ts";
import { type Command, print } from "./command.ts";
import { configOption, jsonOption, readConfigFile } from "./config-file.ts";

/** `outrigger check`. */
export const checkCommand: Command = {
  summary: "every error of a configuration with its position, or what was understood",
  options: { config: configOption, json: jsonOption },
  run(input) {
    const { file, text } = readConfigFile(input);
    return print(checkText(text, { file, env: input.env, json: input.has("json") }));
  },
};
