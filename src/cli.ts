import { caCommand } from "./commands/ca.ts";
import { captureCommand } from "./commands/capture.ts";
import { checkCommand } from "./commands/check.ts";
import { type Command, didYouMean, type Env, Exit, readInput, UsageError, usage } from "./commands/command.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { explainCommand } from "./commands/explain.ts";
import { injectCommand } from "./commands/inject.ts";
import { injectorCommand } from "./commands/injector.ts";
import { printCommand } from "./commands/print.ts";
import { runCommand } from "./commands/run.ts";
import { schemaCommand } from "./commands/schema.ts";
import { waitCommand } from "./commands/wait.ts";
import { version } from "./core/version.ts";

/** Every command, in the order of the overview. */
const commands: Readonly<Record<string, Command>> = {
  run: runCommand,
  check: checkCommand,
  print: printCommand,
  schema: schemaCommand,
  wait: waitCommand,
  capture: captureCommand,
  inject: injectCommand,
  injector: injectorCommand,
  explain: explainCommand,
  doctor: doctorCommand,
  ca: caCommand,
};

/** Runs a command line. Resolves with the exit code. */
export async function cli(args: readonly string[], env: Env): Promise<number> {
  const [name, ...rest] = args;
  if (name === "--version" || name === "-v") return say(`outrigger ${version}\n`);
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    say(overview());
    return name === undefined ? Exit.USAGE : Exit.OK;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined)
    return complain(`there is no command "${name}"${didYouMean(name, Object.keys(commands))}`, "outrigger");
  try {
    const input = readInput(name, command, rest, env);
    return input === undefined ? say(usage(name, command)) : await command.run(input);
  } catch (error) {
    if (error instanceof UsageError) return complain(error.message, `outrigger ${name}`);
    // What the system did not let a command do, such as writing a file, is no fault of ours: it is told without a stack.
    if (!(error instanceof Error && "syscall" in error)) throw error;
    process.stderr.write(`outrigger: ${error.message}\n`);
    return Exit.FAILED;
  }
}

function say(text: string): number {
  process.stdout.write(text);
  return Exit.OK;
}

function complain(message: string, about: string): number {
  process.stderr.write(`outrigger: ${message}\nSee ${about} --help.\n`);
  return Exit.USAGE;
}

function overview(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length)) + 2;
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`);
  return `outrigger ${version}: a service-mesh sidecar\n\nUsage: outrigger COMMAND [-c FILE]\n\n${lines.join("\n")}

  --version    what this is
  --help       this page; outrigger COMMAND --help says more of a command

Exit codes: ${Exit.OK} done, ${Exit.FAILED} cannot bind or crashed, ${Exit.USAGE} usage or configuration, 130 after a second signal.
`;
}
