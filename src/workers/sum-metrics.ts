/** Gauges of what is under way or held: there is as much of it as in all threads together. Of others the largest counts. */
const SUMMED = new Set([
  "outrigger_authorization_service_pending",
  "outrigger_bandwidth_limit_bytes",
  "outrigger_bandwidth_waiting",
  "outrigger_calls_in_flight",
  "outrigger_connections",
  "outrigger_concurrency_in_flight",
  "outrigger_concurrency_limit",
  "outrigger_inbound_connections",
  "outrigger_limit_current",
  "outrigger_listener_connections",
  "outrigger_listener_connections_limit",
  "outrigger_rate_limit_leased",
  "outrigger_relayed_connections",
  "outrigger_retry_budget",
  "outrigger_spans_waiting",
  "outrigger_streams",
  "outrigger_timers",
  "http_server_active_requests",
  "http_client_active_requests",
  "outrigger_unread_bytes",
]);
/** Of these each worker has a part, and the control thread, which carries no calls, one that counts for nothing. */
const OF_WORKERS = new Set([
  "outrigger_bandwidth_limit_bytes",
  "outrigger_concurrency_limit",
  "outrigger_retry_budget",
]);
/** Of the process as a whole: every thread says the same. */
const OF_THE_PROCESS = /^(process_|nodejs_version|outrigger_build)/;

interface Family {
  readonly head: string[];
  readonly type: string;
  readonly samples: Map<string, number>;
  /** By series: a call of a bucket, as OpenMetrics writes it. The latest of all threads. */
  readonly exemplars: Map<string, string>;
}

/** What follows the value of a sample in OpenMetrics. */
const EXEMPLAR = / # \{[^}]*\} \S+ (\S+)$/;

/**
 * Metrics of several threads as those of one process, in Prometheus' text format. The first text is the control thread's:
 * what is of the process comes from there. `examples`: with exemplars, which only OpenMetrics has.
 */
export function sumMetrics(texts: readonly string[], examples = false): string {
  const families = new Map<string, Family>();
  for (const [thread, text] of texts.entries()) add(families, text, thread === 0);
  let all = "";
  for (const { head, samples, exemplars } of families.values()) {
    all += `${head.join("\n")}\n`;
    for (const [series, value] of samples)
      all += `${series} ${value}${examples ? (exemplars.get(series) ?? "") : ""}\n`;
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
      family = families.get(name) ?? { head: [], type: rest, samples: new Map(), exemplars: new Map() };
      if (!families.has(name)) family.head.push(`# HELP ${name} ${help(text, name)}`, line);
      families.set(name, family);
    } else if (line !== "" && family !== undefined && !(first ? OF_WORKERS.has(name) : OF_THE_PROCESS.test(name))) {
      const exemplar = family.type === "histogram" ? EXEMPLAR.exec(line)?.[0] : undefined;
      const sample = exemplar === undefined ? line : line.slice(0, -exemplar.length);
      const space = sample.lastIndexOf(" ");
      const series = sample.slice(0, space);
      put(family, name, series, Number(sample.slice(space + 1)));
      if (exemplar !== undefined) keepLatest(family, series, exemplar);
    }
  }
}

function put({ type, samples }: Family, name: string, series: string, value: number): void {
  const known = samples.get(series);
  if (known === undefined) samples.set(series, value);
  else samples.set(series, type !== "gauge" || SUMMED.has(name) ? known + value : Math.max(known, value));
}

function keepLatest({ exemplars }: Family, series: string, exemplar: string): void {
  const at = (text: string | undefined): number => Number(EXEMPLAR.exec(text ?? "")?.[1] ?? 0);
  if (at(exemplar) >= at(exemplars.get(series))) exemplars.set(series, exemplar);
}

function help(text: string, name: string): string {
  const at = text.indexOf(`# HELP ${name} `);
  return at < 0 ? "" : text.slice(at + `# HELP ${name} `.length, text.indexOf("\n", at));
}
