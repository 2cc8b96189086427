import { formatIssues } from "../config/format-issues.ts";
import { loadConfig } from "../config/load.ts";
import { parseDuration } from "../config/schema/units.ts";
import { doctorPage, examine } from "../control/doctor/doctor.ts";
import { type Command, Exit, print, UsageError } from "./command.ts";
import { configOption, jsonOption, readConfigFile } from "./config-file.ts";

/** Milliseconds for which idle connections are watched. */
const PATIENCE = 3000;

/** `outrigger doctor`. */
export const doctorCommand: Command = {
  summary: "what is wrong around a sidecar: each finding with its evidence and a remedy",
  options: {
    config: configOption,
    idle: { value: "DURATION", doc: "how long an idle connection to the application is watched; 3s by default" },
    json: jsonOption,
  },
  async run(input) {
    const { file, text } = readConfigFile(input);
    const loaded = loadConfig(text, { file, env: input.env });
    if (!loaded.ok) return print({ ok: false, output: formatIssues(loaded.issues, file, text) });
    const idle = input.value("idle");
    const patience = idle === undefined ? undefined : parseDuration(idle);
    if (patience?.kind === "problem") throw new UsageError(`--idle: ${patience.message}`);
    const findings = await examine(loaded.config, patience?.value ?? PATIENCE);
    const bad = findings.some(({ verdict }) => verdict === "error");
    process.stdout.write(input.has("json") ? `${JSON.stringify({ findings }, null, 2)}\n` : doctorPage(findings));
    return bad ? Exit.FAILED : Exit.OK;
  },
};
