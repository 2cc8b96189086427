import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

/** Milliseconds for the application's answer, and octets of it. */
const PATIENCE = 2000;
const LARGEST = 16 * 1024 * 1024;
/** What the application's families are called by that have a name of ours. */
const PREFIX = "application_";

/** The application's own metrics, in Prometheus' text format. Rejects where it does not answer with them. */
export function scrapeApplication(url: string): Promise<string> {
  const request = url.startsWith("https:") ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const headers = { accept: "text/plain; version=0.0.4" };
    const asked = request(url, { agent: false, timeout: PATIENCE, headers }, (response) => {
      if (response.statusCode !== 200) {
        asked.destroy(new Error(`it answered with ${response.statusCode}`));
        return;
      }
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        if (text.length > LARGEST) asked.destroy(new Error(`it has more than ${LARGEST} octets`));
      });
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    asked.on("timeout", () => asked.destroy(new Error(`no answer within ${PATIENCE / 1000}s`)));
    asked.on("error", reject);
    asked.end();
  });
}

/**
 * The application's metrics behind ours. A family that both have, such as `process_cpu_seconds_total`, would be in a scrape twice,
 * which Prometheus refuses: the application's is then called `application_…`.
 */
export function mergeMetrics(ours: string, theirs: string): string {
  const names = new Set([...ours.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name));
  const lines = theirs.split("\n").flatMap((line) => {
    if (line.startsWith("# EOF")) return [];
    const name = /^(?:# (?:HELP|TYPE) )?([a-zA-Z_:][a-zA-Z0-9_:]*)/.exec(line)?.[1];
    if (name === undefined) return [line];
    const family = [name, name.replace(/_(?:bucket|sum|count)$/, "")].find((one) => names.has(one));
    return [family === undefined ? line : line.replace(name, `${PREFIX}${name}`)];
  });
  return `${ours.trimEnd()}\n${lines.join("\n")}`;
}
