/** Gauges of what is under way or held: there is as much of it as in all threads together. Of others the largest counts. */
const SUMMED = new Set([
  "outrigger_authorization_service_pending",
  "outrigger_calls_in_flight",
  "outrigger_connections",
  "outrigger_concurrency_in_flight",
  "outrigger_concurrency_limit",
  "outrigger_rate_limit_leased",
  "outrigger_relayed_connections",
]);
/** Of the process as a whole: every thread says the same. */
const OF_THE_PROCESS = /^(process_|nodejs_version|outrigger_build)/;

interface Family {
  readonly head: string[];
  readonly type: string;
  readonly samples: Map<string, number>;
}

/**
 * Metrics of several threads as those of one process, in Prometheus' text format. The first text is the control thread's:
 * what is of the process comes from there.
 */
export function sumMetrics(texts: readonly string[]): string {
  const families = new Map<string, Family>();
  for (const [thread, text] of texts.entries()) add(families, text, thread === 0);
  let all = "";
  for (const { head, samples } of families.values()) {
    all += `${head.join("\n")}\n`;
    for (const [series, value] of samples) all += `${series} ${value}\n`;
    all += "\n";
  }
  return all;
}

function add(families: Map<string, Family>, text: string, first: boolean): void {
  let family: Family | undefined;
  let name = "";
  for (const line of text.split("\n")) {
    const [, keyword, subject = "", rest = ""] = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line) ?? [];
    if (keyword === "HELP") {
      name = subject;
      family = families.get(name);
    } else if (keyword === "TYPE") {
      name = subject;
      family = families.get(name) ?? { head: [], type: rest, samples: new Map() };
      if (!families.has(name)) family.head.push(`# HELP ${name} ${help(text, name)}`, line);
      families.set(name, family);
    } else if (line !== "" && family !== undefined && (first || !OF_THE_PROCESS.test(name))) {
      const space = line.lastIndexOf(" ");
      put(family, name, line.slice(0, space), Number(line.slice(space + 1)));
    }
  }
}

function put({ type, samples }: Family, name: string, series: string, value: number): void {
  const known = samples.get(series);
  if (known === undefined) samples.set(series, value);
  else samples.set(series, type !== "gauge" || SUMMED.has(name) ? known + value : Math.max(known, value));
}

function help(text: string, name: string): string {
  const at = text.indexOf(`# HELP ${name} `);
  return at < 0 ? "" : text.slice(at + `# HELP ${name} `.length, text.indexOf("\n", at));
}
