/** Writing the Prometheus text format, for families that are too large for prom-client. */

/** A label's value as it stands between quotes. */
function escapeLabel(value: string): string {
  return /["\\\n]/.test(value)
    ? value.replace(/["\\\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`))
    : value;
}

/** `name="value",...` without the braces. Label names are ours and need no check. */
export function formatLabels(labels: Readonly<Record<string, string>>): string {
  let text = "";
  for (const name in labels) text += `${text === "" ? "" : ","}${name}="${escapeLabel(labels[name] ?? "")}"`;
  return text;
}

/** The two lines at the head of a family. `help` is ours: one line, no backslash. */
export function familyHead(name: string, type: "counter" | "gauge" | "histogram", help: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}
