import { parseArgs } from "node:util";
import { closest } from "../config/closest.ts";

/** Exit codes, as the documentation has them. */
export const Exit = { OK: 0, FAILED: 1, USAGE: 2 } as const;

/** Environment variables, as the process was given them. */
export type Env = Readonly<Record<string, string | undefined>>;

/** An option of a command, without its dashes. */
export interface Option {
  readonly short?: string;
  /** What stands for its value in the usage, such as FILE; absent: it takes none. */
  readonly value?: string;
  readonly doc: string;
}

/** A command of the command line: one file each, one line each in the table of `cli.ts`. */
export interface Command {
  readonly summary: string;
  readonly options: Readonly<Record<string, Option>>;
  /** What it takes besides options, as the usage writes it, such as `TRACE-ID`; absent: nothing. */
  readonly words?: string;
  /** Whether a program and its arguments may follow behind `--`. */
  readonly program?: "optional";
  /** Resolves with the exit code; a UsageError becomes a complaint and exit code 2. */
  run(input: Input): number | Promise<number>;
}

/** What was written behind a command's name. */
export interface Input {
  /** The value of an option, or undefined where it was not given. */
  value(option: string): string | undefined;
  /** Whether an option without a value was given. */
  has(option: string): boolean;
  readonly words: readonly string[];
  /** The program behind `--` and its arguments; empty where there is none. */
  readonly program: readonly string[];
  readonly env: Env;
}

/** The command line cannot be understood, or asks for what cannot be. */
export class UsageError extends Error {}

/** Reads what stands behind a command's name; undefined where help is asked for. Throws a UsageError. */
export function readInput(name: string, command: Command, args: readonly string[], env: Env): Input | undefined {
  const { values, words, program } = parsed(name, command, args);
  if (values.get("help") === true) return undefined;
  if (command.words === undefined && words.length > 0) throw new UsageError(`outrigger ${name} takes no "${words[0]}"`);
  if (command.program === undefined && program.length > 0)
    throw new UsageError(`outrigger ${name} takes no program behind --`);
  return {
    value(option) {
      const value = values.get(option);
      return typeof value === "string" ? value : undefined;
    },
    has: (option) => values.get(option) === true,
    words,
    program,
    env,
  };
}

interface Parsed {
  readonly values: ReadonlyMap<string, unknown>;
  readonly words: readonly string[];
  readonly program: readonly string[];
}

function parsed(name: string, command: Command, args: readonly string[]): Parsed {
  const options: Record<string, { type: "boolean" | "string"; short?: string }> = {
    help: { type: "boolean", short: "h" },
  };
  for (const [option, { short, value }] of Object.entries(command.options))
    options[option] = { type: value === undefined ? "boolean" : "string", ...(short === undefined ? {} : { short }) };
  try {
    // What is behind `--` is another program's: none of its options is one of ours.
    const end = args.indexOf("--");
    const own = end < 0 ? args : args.slice(0, end);
    const { values, positionals } = parseArgs({ args: [...own], options, allowPositionals: true });
    return {
      values: new Map(Object.entries(values)),
      words: positionals,
      program: end < 0 ? [] : args.slice(end + 1),
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const unknown = /^Unknown option '(-[^' ]*)/.exec(message)?.[1];
    if (unknown === undefined) throw new UsageError(message);
    const known = Object.keys(options).map((option) => `--${option}`);
    throw new UsageError(`outrigger ${name} takes no ${unknown}${didYouMean(unknown, known)}`);
  }
}

/** The end of a complaint about a word that is not known: the known one that was probably meant. */
export function didYouMean(word: string, known: readonly string[]): string {
  const meant = closest(word, known);
  return meant === undefined ? "" : `, did you mean ${meant}?`;
}

/** The page of `outrigger NAME --help`. */
export function usage(name: string, { summary, options, words, program }: Command): string {
  const written = Object.entries(options).map(([option, { short, value }]) => {
    const dashed = short === undefined ? `--${option}` : `-${short}`;
    return `[${dashed}${value === undefined ? "" : ` ${value}`}]`;
  });
  const all: readonly (readonly [string, Option])[] = [
    ...Object.entries(options),
    ["help", { short: "h", doc: "this page" }],
  ];
  const rows = all.map(([option, { short, value, doc }]): [string, string] => [
    `${short === undefined ? "    " : `-${short}, `}--${option}${value === undefined ? "" : ` ${value}`}`,
    doc,
  ]);
  const width = Math.max(...rows.map(([left]) => left.length)) + 3;
  const lines = rows.map(([left, doc]) => `  ${left.padEnd(width)}${doc}`);
  const line = [
    "outrigger",
    name,
    ...written,
    ...(words === undefined ? [] : [words]),
    ...(program === undefined ? [] : ["[-- PROGRAM [ARG ...]]"]),
  ].join(" ");
  return `outrigger ${name}: ${summary}\n\nUsage: ${line}\n\n${lines.join("\n")}\n`;
}

/** Writes a command's result on standard output; what is wrong with a configuration is a result, too. */
export function print(result: { readonly ok: boolean; readonly output: string }): number {
  process.stdout.write(result.output);
  return result.ok ? Exit.OK : Exit.USAGE;
}
