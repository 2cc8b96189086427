/** The content-type of the OpenMetrics text format. */
export const OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/** Whether who scrapes reads OpenMetrics, and prefers it as every Prometheus does that knows it. */
export function acceptsOpenMetrics(accept: string | undefined): boolean {
  return accept !== undefined && /\bapplication\/openmetrics-text\b(?!\s*;\s*q=0(?:\.0+)?(?:,|$))/i.test(accept);
}

/**
 * Prometheus' text as OpenMetrics: a counter's family is called without `_total`, there are no empty lines, and the end is said.
 * What is a counter without `_total`, or whose name without it is another family's, has no such form and is told as unknown.
 */
export function toOpenMetrics(text: string): string {
  const families = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name));
  const lines: string[] = [];
  let counter = "";
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const meta = /^# (HELP|TYPE) (\S+) ?(.*)$/.exec(line);
    if (meta === null) {
      if (!line.startsWith("#")) lines.push(line);
      continue;
    }
    const [, kind = "", name = "", rest = ""] = meta;
    if (kind === "HELP") {
      counter = name;
      lines.push(line);
      continue;
    }
    const base = name.replace(/_total$/, "");
    const type =
      rest === "counter" && (base === name || families.has(base)) ? "unknown" : rest === "untyped" ? "unknown" : rest;
    lines.push(`# TYPE ${type === "counter" ? base : name} ${type}`);
    // HELP stands before TYPE, when it is not known yet that this is a counter.
    const help = lines.length - 2;
    if (type === "counter" && counter === name) lines[help] = (lines[help] ?? "").replace(name, base);
  }
  return `${lines.join("\n")}\n# EOF\n`;
}
