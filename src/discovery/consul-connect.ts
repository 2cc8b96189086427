import type { Clock } from "../core/clock.ts";
import { ConsulClient, type ConsulOptions } from "./consul-client.ts";
import { ConsulError } from "./consul-error.ts";
import { field, textIn } from "./json-field.ts";

/** What is asked of the CA. */
export interface CaQuery {
  /** 0: answer at once. Otherwise: when there is another index, or after a while. */
  readonly index: bigint;
  readonly signal: AbortSignal;
}

/** Milliseconds of a blocking query, and how much later its answer may come. A new key and a signature take their time. */
const WAIT = 60_000;
const MARGIN = 10_000;

/** The CA of Consul Connect as an agent offers it. Methods reject with a ConsulError and nothing else. */
export class ConsulConnect {
  private readonly client: ConsulClient;

  constructor(options: ConsulOptions, clock: Clock) {
    this.client = new ConsulClient(options, clock);
  }

  /** The authorities: the active one, and those that still count. */
  async roots(query: CaQuery): Promise<{ readonly index: bigint; readonly authorities: string }> {
    const { index, body } = await this.ask("/agent/connect/ca/roots", {}, query);
    const roots: unknown = field(body, "Roots");
    const pem = (Array.isArray(roots) ? roots : []).flatMap((root: unknown) => textIn(root, "RootCert") ?? []);
    if (pem.length === 0) throw new ConsulError(`consul at ${this.client.host} has no authority of Connect`);
    return { index, authorities: pem.join("\n") };
  }

  /** A certificate for a service, with its key. */
  async leaf(
    service: string,
    query: CaQuery,
  ): Promise<{ readonly index: bigint; readonly certificate: string; readonly key: string }> {
    const { index, body } = await this.ask("/agent/connect/ca/leaf/{service}", { service }, query);
    const certificate = textIn(body, "CertPEM");
    const key = textIn(body, "PrivateKeyPEM");
    if (certificate === undefined || key === undefined)
      throw new ConsulError(`consul at ${this.client.host} sent no certificate for ${service}`);
    return { index, certificate, key };
  }

  close(): void {
    this.client.close();
  }

  private async ask(
    path: string,
    params: Readonly<Record<string, string>>,
    { index, signal }: CaQuery,
  ): Promise<{ readonly index: bigint; readonly body: unknown }> {
    const blocks = index !== 0n;
    const { headers, text } = await this.client.get(path, params, {
      query: blocks ? { index: `${index}`, wait: `${WAIT}ms` } : {},
      timeout: MARGIN + (blocks ? WAIT + WAIT / 16 : 0),
      signal,
    });
    const said = headers["x-consul-index"];
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      throw new ConsulError(`consul at ${this.client.host} sent no JSON for ${path}`);
    }
    return { index: typeof said === "string" && /^\d{1,20}$/.test(said) ? BigInt(said) || 1n : 1n, body };
  }
}
