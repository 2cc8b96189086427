import { type Logger, pino } from "pino";

/** A logger, and the lines that it has written. */
export interface RecordedLog {
  readonly log: Logger;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

export function recordedLog(): RecordedLog {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => {
    lines.push(JSON.parse(line));
  };
  return { log: pino({ level: "debug", base: null }, { write }), lines };
}
