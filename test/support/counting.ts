import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { CountingAppOptions } from "./counting-app.ts";
import { type RunningProcess, startProcess } from "./process.ts";

const program = join(import.meta.dirname, "counting-app.ts");

/** A counting application in a process of its own. */
export interface CountingApp {
  readonly name: string;
  readonly address: string;
  readonly process: RunningProcess;
}

/** What an application prints when it listens: where, and its process id. */
export const LISTENING = /^listening (\S+) (\d+)$/;

/** What applications have written down into a folder, over all of them and whether or not they still run. */
export class Tally {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  async start(name: string, options: Partial<Omit<CountingAppOptions, "file">> = {}): Promise<CountingApp> {
    const [node = "", ...args] = this.command(name, options);
    const started = await startProcess(node, args);
    const [, address = ""] = await started.line(LISTENING, 20_000);
    return { name, address, process: started };
  }

  /** What starts an application of that name. */
  command(name: string, options: Partial<Omit<CountingAppOptions, "file">>): string[] {
    const file = join(this.folder, `${name}.log`);
    const whole: CountingAppOptions = { file, onTerm: "fast", delay: 0, port: 0, ...options };
    return [process.execPath, program, JSON.stringify(whole)];
  }

  /** The lines that an application has written. */
  async lines(name: string): Promise<string[]> {
    const text = await readFile(join(this.folder, `${name}.log`), "utf8");
    return text.split("\n").filter((line) => line !== "");
  }

  /** How often each call was executed. */
  async executions(): Promise<Map<string, number>> {
    const counts = new Map<string, number>();
    for (const file of await readdir(this.folder)) {
      if (!file.endsWith(".log")) continue;
      for (const line of await this.lines(file.slice(0, -".log".length))) {
        const [, id] = /^executed (.*)$/.exec(line) ?? [];
        if (id !== undefined) counts.set(id, (counts.get(id) ?? 0) + 1);
      }
    }
    return counts;
  }
}
