import { request } from "node:http";
import { join } from "node:path";
import type { Pod } from "./netns.ts";
import type { Wish } from "./pod-agent.ts";
import type { RunningProcess } from "./process.ts";

// Programs that tests run in the pods of `netns.ts`.

const node = process.execPath;
const root = join(import.meta.dirname, "..", "..");

/** Milliseconds for a program to start on a machine that is busy. */
const START = 60_000;

/** The sidecar's own program, for `pod.run` and `pod.start`. */
export const outrigger: readonly string[] = [node, join(root, "src", "main.ts")];

/** The user that a sidecar runs as in its image. */
export const SIDECAR = 15001;

/** What callers are told that do not get through. */
export const REFUSED = /^error (ECONNREFUSED|ECONNRESET)$/;

/** Who does not say so in time is ended: a test that failed must not wait for it. */
async function ready(started: Promise<RunningProcess>, says: RegExp): Promise<RunningProcess> {
  const one = await started;
  try {
    await one.line(says, START);
    return one;
  } catch (error) {
    await one.kill();
    throw error;
  }
}

/** A sidecar that is ready; `config`: its file, or what it reads from standard input. */
export async function startSidecar(
  pod: Pod,
  config: { readonly file: string } | { readonly text: string },
  user = SIDECAR,
): Promise<RunningProcess> {
  const [file, input] = "file" in config ? [config.file, {}] : ["-", { input: config.text }];
  return await ready(pod.start([...outrigger, "run", "-c", file], input, user), /^outrigger ready /);
}

/** The user service, in this process's language; `address`: where it listens. */
export async function userServer(pod: Pod, address: string): Promise<RunningProcess> {
  const service = join(root, "services", "user", "main.ts");
  return await ready(pod.start([node, service, "--listen", address]), /^user ready /);
}

/** Somebody in a pod who serves and calls for a test: `pod-agent.ts`. */
export class PodAgent {
  private readonly path: string;
  readonly process: RunningProcess;

  private constructor(path: string, process: RunningProcess) {
    this.path = path;
    this.process = process;
  }

  /** `folder`: where its socket is made. */
  static async start(pod: Pod, folder: string): Promise<PodAgent> {
    const path = join(folder, `${pod.name}.sock`);
    const agent = join(root, "test", "support", "pod-agent.ts");
    return new PodAgent(path, await ready(pod.start([node, agent, path]), /^agent up$/));
  }

  async servePage(port: number, text = "page for ", host = "::"): Promise<void> {
    await this.up({ do: "page", host, port, text });
  }

  async serveBanner(port: number): Promise<void> {
    await this.up({ do: "banner", port });
  }

  get(url: string): Promise<string> {
    return this.ask({ do: "get", url });
  }

  hear(host: string, port: number): Promise<string> {
    return this.ask({ do: "hear", host, port });
  }

  call(authority: string): Promise<string> {
    return this.ask({ do: "call", authority });
  }

  /** The metrics of the sidecar in its pod. */
  metrics(): Promise<string> {
    return this.get("http://127.0.0.1:15000/metrics");
  }

  private async up(wish: Wish): Promise<void> {
    const said = await this.ask(wish);
    if (said !== "up") throw new Error(`${JSON.stringify(wish)}: ${said}`);
  }

  private ask(wish: Wish): Promise<string> {
    return new Promise((resolve, reject) => {
      const asked = request({ socketPath: this.path, method: "POST", agent: false }, (answer) => {
        let text = "";
        answer.on("data", (chunk: Buffer) => (text += chunk.toString()));
        answer.on("end", () => resolve(text));
        answer.on("error", reject);
      });
      asked.on("error", reject);
      asked.end(JSON.stringify(wish));
    });
  }
}

/** How many captured connections a sidecar has counted, by how they ended up. */
export function capturedIn(
  metrics: string,
  wanted: { readonly direction?: string; readonly result?: string; readonly protocol?: string } = {},
): number {
  const counts = metrics.matchAll(/^outrigger_captured_connections_total\{([^}]*)\} (\d+)$/gm);
  return [...counts]
    .filter(([, labels = ""]) =>
      Object.entries(wanted).every(([label, value]) => labels.includes(`${label}="${value}"`)),
    )
    .reduce((sum, [, , count]) => sum + Number(count), 0);
}
