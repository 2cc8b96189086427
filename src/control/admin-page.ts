import { createHash } from "node:crypto";
import type { ClusterAnswer, ConnectionsAnswer, OverloadAnswer, ReadyAnswer } from "./answers.ts";
import type { HttpAnswer } from "./http-answer.ts";
import type { ControlView } from "./view.ts";

const style = `
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #1c2733; }
  h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.15em; margin: 1.6em 0 .4em; }
  table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
  th, td { padding: .25em .8em .25em 0; border-bottom: 1px solid #dde3ea; vertical-align: top; }
  td.n { text-align: right; font-variant-numeric: tabular-nums; } code { font-size: .92em; }
  .good { color: #17693a; } .bad { color: #a11c1c; } .dim { color: #66727f; }
  @media (prefers-color-scheme: dark) {
    body { background: #14181d; color: #d5dde5; } th, td { border-color: #2c343d; } a { color: #7db7ff; }
    .good { color: #6fce95; } .bad { color: #ff8d8d; } .dim { color: #8b97a3; }
  }`;

// No script, nothing from elsewhere, in nobody's frame: a page that changes nothing and can be made to change nothing.
const policy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** The state of the sidecar for a person: readiness, upstreams, connections, and where to read more. */
export async function adminPage(view: ControlView, links: ReadonlyMap<string, string>): Promise<HttpAnswer> {
  const { clusters, overload } = await view.clusters();
  const open = await view.connections();
  const body = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="10">
<title>${html(view.name)} – Outrigger</title>
<style>${style}</style>
</head>
<body>
<h1>${html(view.name)}</h1>
<p class="dim">Outrigger ${html(view.version)}; this page loads itself again every ten seconds</p>
${readiness(view.readiness())}${overloaded(overload)}
<h2>Upstreams</h2>
${clusters.length === 0 ? "<p>None yet: a name becomes one when it is declared or first called.</p>" : clusterTable(clusters)}
${connections(open)}
<h2>More</h2>
<ul>
${[...links].map(([path, about]) => `<li><a href="${path}">${path}</a> <span class="dim">${html(about)}</span></li>`).join("\n")}
</ul>
<p>What changes something is a POST:
<code>curl -X POST -H 'content-type: application/json' -d '{"level":"debug"}' http://HOST/log-level</code>;
the same without <code>-d</code> for <code>/drain</code> and <code>/quit</code>.</p>
</body>
</html>
`;
  return { status: 200, contentType: "text/html; charset=utf-8", body, headers: { "content-security-policy": policy } };
}

function readiness(answer: ReadyAnswer): string {
  if (answer.ready) {
    const { detail } = answer;
    return `<p class="good">Ready.</p>${detail === undefined ? "" : `\n<p class="bad">${html(detail)}</p>`}`;
  }
  const rows = answer.waiting.map(({ what, since, detail }) => {
    return `<tr><td>${html(what)}</td><td>${html(since)}</td><td>${html(detail)}</td></tr>`;
  });
  return `<p class="bad">Not ready. It waits for:</p>
<table><tr><th>what</th><th>since</th><th>why</th></tr>
${rows.join("\n")}
</table>`;
}

function overloaded({ actions }: OverloadAnswer): string {
  return actions
    .filter(({ since }) => since !== null)
    .map(({ since, why }) => `\n<p class="bad">Overloaded since ${html(since ?? "")}: ${html(why ?? "")}</p>`)
    .join("");
}

function clusterTable(clusters: readonly ClusterAnswer[]): string {
  const head = ["upstream", "endpoint", "state", "calls", "connections", "zone", "last error"];
  return `<table><tr>${head.map((text) => `<th>${text}</th>`).join("")}</tr>
${clusters.map(clusterRows).join("\n")}
</table>`;
}

function clusterRows(cluster: ClusterAnswer): string {
  const { name, source, staleSince, balancer, panic, endpoints } = cluster;
  const stale = staleSince === null ? "" : `<br><span class="bad">no answer since ${html(staleSince)}</span>`;
  const panics = panic ? `<br><span class="bad">panic: health is ignored</span>` : "";
  const about = `<br><span class="dim">${html(source)}, ${html(balancer)}</span>${stale}${panics}`;
  const cell = `<td rowspan="${Math.max(1, endpoints.length)}">${html(name)}${about}</td>`;
  if (endpoints.length === 0) return `<tr>${cell}<td colspan="6" class="bad">no instance is known</td></tr>`;
  return endpoints
    .map((endpoint, at) => {
      const { address, state, inFlight, zone, lastError, out } = endpoint;
      const mood = state === "up" || state === "slowStart" ? "good" : "bad";
      return `<tr>${at === 0 ? cell : ""}<td><code>${html(address)}</code></td><td class="${mood}">${html(state)}</td>
<td class="n">${inFlight}</td><td class="n">${endpoint.connections}</td><td>${html(zone ?? "")}</td><td>${html(out?.detail ?? lastError ?? "")}</td></tr>`;
    })
    .join("\n");
}

function connections(open: ConnectionsAnswer): string {
  const counts = new Map<string, number>();
  for (const { direction, made } of open.connections) {
    const key = `${direction}, ${made}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const text = [...counts].map(([key, count]) => `${count} ${key}`).join("; ");
  return `<h2>Connections</h2>\n<p>${text === "" ? "None." : html(text)}</p>`;
}

function html(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
