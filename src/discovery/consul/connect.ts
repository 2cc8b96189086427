import type { Clock } from "../../core/clock.ts";
import { field, textIn } from "../../core/json-field.ts";
import { askBlocking, type BlockingAnswer, type BlockingQuery } from "./blocking.ts";
import { ConsulClient, type ConsulOptions } from "./client.ts";
import { ConsulError } from "./error.ts";

/** The CA of Consul Connect as an agent offers it. Methods reject with a ConsulError and nothing else. */
export class ConsulConnect {
  private readonly client: ConsulClient;

  constructor(options: ConsulOptions, clock: Clock) {
    this.client = new ConsulClient(options, clock);
  }

  /** The authorities: the active one, and those that still count. */
  async roots(query: BlockingQuery): Promise<{ readonly index: bigint; readonly authorities: string }> {
    const { index, body } = await this.ask("/agent/connect/ca/roots", {}, query);
    const roots: unknown = field(body, "Roots");
    const pem = (Array.isArray(roots) ? roots : []).flatMap((root: unknown) => textIn(root, "RootCert") ?? []);
    if (pem.length === 0) throw new ConsulError(`consul at ${this.client.host} has no authority of Connect`);
    return { index, authorities: pem.join("\n") };
  }

  /** A certificate for a service, with its key. */
  async leaf(
    service: string,
    query: BlockingQuery,
  ): Promise<{ readonly index: bigint; readonly certificate: string; readonly key: string }> {
    const { index, body } = await this.ask("/agent/connect/ca/leaf/{service}", { service }, query);
    const certificate = textIn(body, "CertPEM");
    const key = textIn(body, "PrivateKeyPEM");
    if (certificate === undefined || key === undefined)
      throw new ConsulError(`consul at ${this.client.host} sent no certificate for ${service}`);
    return { index, certificate, key };
  }

  /** See ConsulClient. */
  onRenewed(listener: () => void): () => void {
    return this.client.onRenewed(listener);
  }

  close(): void {
    this.client.close();
  }

  private ask(path: string, params: Readonly<Record<string, string>>, query: BlockingQuery): Promise<BlockingAnswer> {
    return askBlocking(this.client, { path, params }, query);
  }
}
