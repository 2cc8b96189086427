import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { checkText } from "./config/check-text.ts";
import { printConfig } from "./config/print.ts";
import { jsonSchema } from "./config/schema-json.ts";
import { version } from "./core/version.ts";
import { run, STDIN } from "./run.ts";

/** Exit codes, as the documentation has them. */
const OK = 0;
const FAILED = 1;
const USAGE = 2;

type Env = Readonly<Record<string, string | undefined>>;

interface Command {
  readonly summary: string;
  readonly options: readonly ("config" | "json")[];
  run(input: Input): number | Promise<number>;
}

interface Input {
  readonly file: string;
  readonly text: string;
  readonly json: boolean;
  readonly env: Env;
}

/** Where a configuration is looked for when none is named. */
const DEFAULT_FILES = ["./outrigger.yaml", "/etc/outrigger/outrigger.yaml"];

const commands: Readonly<Record<string, Command>> = {
  run: {
    summary: "the sidecar, in the foreground",
    options: ["config"],
    run: (input) => run(input),
  },
  check: {
    summary: "every error of a configuration with its position, or what was understood",
    options: ["config", "json"],
    run: ({ file, text, json, env }) => print(checkText(text, { file, env, json })),
  },
  print: {
    summary: "the effective configuration, each value with where it comes from",
    options: ["config", "json"],
    run: ({ file, text, json, env }) => print(printConfig(text, { file, env, json })),
  },
  schema: {
    summary: "the JSON Schema of the configuration file",
    options: [],
    run: () => print({ ok: true, output: `${JSON.stringify(jsonSchema(), null, 2)}\n` }),
  },
};

/** Runs a command line. Resolves with the exit code. */
export async function cli(args: readonly string[], env: Env): Promise<number> {
  const [name, ...rest] = args;
  if (name === "--version" || name === "-v") return print({ ok: true, output: `outrigger ${version}\n` });
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(overview());
    return name === undefined ? USAGE : OK;
  }
  const command = commands[name];
  if (command === undefined || !Object.hasOwn(commands, name)) return complain(`there is no command "${name}"`);
  let values: ReturnType<typeof parseOptions>;
  try {
    values = parseOptions(rest);
  } catch (error) {
    return complain(error instanceof Error ? error.message : String(error));
  }
  if (values.help === true) {
    process.stdout.write(usage(name, command));
    return OK;
  }
  const unknown = (["config", "json"] as const).find(
    (option) => values[option] !== undefined && !command.options.includes(option),
  );
  if (unknown !== undefined) return complain(`outrigger ${name} takes no --${unknown}`);
  const source = command.options.includes("config") ? readConfig(values.config) : { file: "", text: "" };
  if ("error" in source) return complain(source.error);
  return command.run({ ...source, json: values.json === true, env });
}

function parseOptions(args: string[]): { config?: string; json?: boolean; help?: boolean } {
  return parseArgs({
    args,
    options: {
      config: { type: "string", short: "c" },
      json: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
    allowPositionals: false,
  }).values;
}

function readConfig(named: string | undefined): { file: string; text: string } | { error: string } {
  if (named === "-") return { file: STDIN, text: readFileSync(0, "utf8") };
  for (const file of named === undefined ? DEFAULT_FILES : [named]) {
    try {
      return { file, text: readFileSync(file, "utf8") };
    } catch (error) {
      const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
      if (named === undefined && missing) continue;
      return { error: `cannot read ${file}: ${error instanceof Error ? error.message : String(error)}` };
    }
  }
  return { error: `there is no ${DEFAULT_FILES.join(" and no ")}; name a file with -c FILE` };
}

function print(result: { readonly ok: boolean; readonly output: string }): number {
  process.stdout.write(result.output);
  return result.ok ? OK : USAGE;
}

function complain(message: string): number {
  process.stderr.write(`outrigger: ${message}\nSee outrigger --help.\n`);
  return USAGE;
}

function overview(): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(8)}${summary}`);
  return `outrigger ${version}: a service-mesh sidecar\n\nUsage: outrigger COMMAND [-c FILE]\n\n${lines.join("\n")}

  --version    what this is
  --help       this page; outrigger COMMAND --help says more of a command

Exit codes: ${OK} done, ${FAILED} cannot bind or crashed, ${USAGE} usage or configuration, 130 after a second signal.
`;
}

function usage(name: string, { summary, options }: Command): string {
  const config = options.includes("config");
  const json = options.includes("json");
  const lines = [
    ...(config
      ? [`  -c, --config FILE   the configuration; - reads standard input; without it ${DEFAULT_FILES.join(", then ")}`]
      : []),
    ...(json ? ["      --json          the result as JSON"] : []),
    "  -h, --help          this page",
  ];
  return `outrigger ${name}: ${summary}\n\nUsage: outrigger ${name}${config ? " [-c FILE]" : ""}${json ? " [--json]" : ""}\n\n${lines.join("\n")}\n`;
}
