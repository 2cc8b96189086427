import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./ports.ts";
import { type RunningProcess, startProcess } from "./process.ts";
import { requirePart } from "./real-parts.ts";

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

const rules = join(import.meta.dirname, "..", "..", "deploy", "prometheus");

/** A real Prometheus that scrapes and evaluates the rules of deploy/prometheus, both every second. Guard: `skipUnless("prometheus")`. */
export class PrometheusServer {
  private readonly address: string;
  private readonly folder: string;
  private readonly running: RunningProcess;

  private constructor(address: string, folder: string, running: RunningProcess) {
    this.address = address;
    this.folder = folder;
    this.running = running;
  }

  /** `targets`: HOST:PORT of probe listeners. */
  static async start(targets: readonly string[]): Promise<PrometheusServer> {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-prometheus-"));
    for (const name of ["recording.yaml", "alerts.yaml"]) {
      const text = await readFile(join(rules, name), "utf8");
      await writeFile(join(folder, name), text.replaceAll(/^ {4}interval: \d+s$/gm, "    interval: 1s"));
    }
    const config = {
      global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
      rule_files: ["recording.yaml", "alerts.yaml"],
      scrape_configs: [{ job_name: "outrigger", static_configs: [{ targets }] }],
    };
    await writeFile(join(folder, "prometheus.yaml"), JSON.stringify(config));
    const address = `127.0.0.1:${await freePort()}`;
    const running = await startProcess(requirePart("prometheus"), [
      `--config.file=${join(folder, "prometheus.yaml")}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      `--web.listen-address=${address}`,
      "--enable-feature=exemplar-storage",
      "--log.level=warn",
    ]);
    const server = new PrometheusServer(`http://${address}`, folder, running);
    for (let tries = 0; !(await server.ready()); tries++) {
      if (tries > 200) throw new Error(`Prometheus does not answer: ${running.stderr().slice(-2000)}`);
      await sleep(100);
    }
    return server;
  }

  /** The answer to an instant query. Rejects with what Prometheus says of a wrong one. */
  async query(expr: string): Promise<readonly Series[]> {
    const answer = await this.ask("query", { query: expr });
    return answer.data.result;
  }

  /** Exemplars of the last minutes. */
  async exemplars(expr: string): Promise<readonly { readonly labels: Readonly<Record<string, string>> }[]> {
    const now = Date.now() / 1000;
    const { data } = await this.ask("query_exemplars", { query: expr, start: `${now - 600}`, end: `${now + 60}` });
    return data.flatMap((series: { exemplars: readonly { labels: Record<string, string> }[] }) => series.exemplars);
  }

  /** Targets by what came of their last scrape. */
  async targets(): Promise<readonly { readonly health: string; readonly lastError: string }[]> {
    return (await this.ask("targets", {})).data.activeTargets;
  }

  async stop(): Promise<void> {
    await this.running.kill();
    await rm(this.folder, { recursive: true });
  }

  private async ask(what: string, query: Readonly<Record<string, string>>) {
    const response = await fetch(`${this.address}/api/v1/${what}?${new URLSearchParams(query).toString()}`);
    const answer = JSON.parse(await response.text());
    if (answer.status !== "success") throw new Error(`${query.query ?? what}: ${answer.error}`);
    return answer;
  }

  private async ready(): Promise<boolean> {
    try {
      return (await fetch(`${this.address}/-/ready`)).ok;
    } catch {
      return false;
    }
  }
}
