import { lookup as dnsLookup } from "node:dns";
import type { Agent } from "node:http";
import type { LookupFunction } from "node:net";
import type { Clock } from "../../core/clock.ts";
import { SecretFiles, type Secrets } from "../../core/secret-files.ts";
import { watchFile } from "../../core/watch-file.ts";

/** As whom an agent is asked. */
export interface ConsulCredentialOptions {
  readonly token: string | undefined;
  /** A file with the token in it, read again as it changes; takes the place of `token`. */
  readonly tokenFile: string | undefined;
  /** Paths of PEM files, read again as they change. */
  readonly tls:
    | {
        readonly ca: string | undefined;
        readonly cert: string | undefined;
        readonly key: string | undefined;
        readonly serverName: string | undefined;
      }
    | undefined;
}

/** What the next request goes out with. */
export interface ConsulCredentials {
  readonly token: string | undefined;
  readonly agent: Agent;
}

/**
 * Token and TLS material of a Consul client. Files are watched, so a rotated token or certificate is in force as soon as it is
 * written; one that cannot be used, or is empty for a moment, changes nothing and is told of.
 */
export class ConsulCredentialStore {
  private readonly options: ConsulCredentialOptions;
  private readonly secure: boolean;
  private readonly clock: Clock;
  private agent: Agent | undefined;
  private readonly files: SecretFiles;
  private material: Secrets = {};
  private token: string | undefined;
  /** What is known is what stood in the files when they were read last. */
  private known = false;
  private reading: Promise<void> | undefined;
  private connections = Number.POSITIVE_INFINITY;
  private readonly listeners = new Set<() => void>();
  private stopWatching: (() => void) | undefined;

  /** `tell`: takes what people should know. */
  constructor(
    options: ConsulCredentialOptions,
    secure: boolean,
    clock: Clock,
    tell: (message: string) => void = () => {},
  ) {
    this.files = new SecretFiles("consul", tell);
    this.options = options;
    this.secure = secure;
    this.clock = clock;
    this.token = options.tokenFile === undefined ? options.token : undefined;
  }

  /** Rejects, naming the file, when there is one that could never be read yet. */
  async current(): Promise<ConsulCredentials> {
    if (this.agent === undefined || !this.known) await this.readOnce();
    if (this.agent === undefined) throw new Error("the client was closed");
    return { token: this.token, agent: this.agent };
  }

  /** `listener` is called when what requests go out with has changed, until what is returned is. */
  onRenewed(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** From now on no more connections than this are kept; those above it are closed as they are done. */
  limit(connections: number): void {
    this.connections = connections;
    const { agent } = this;
    if (agent === undefined) return;
    agent.maxTotalSockets = connections;
    const [free, used] = [agent.freeSockets, agent.sockets].map((all) =>
      Object.values(all).flatMap((some) => some ?? []),
    );
    const surplus = (free?.length ?? 0) + (used?.length ?? 0) - connections;
    for (const socket of free?.slice(0, Math.max(0, surplus)) ?? []) socket.destroy();
  }

  /** The agent refused the token: the files are read again before the next request. */
  refused(): void {
    this.known = false;
  }

  close(): void {
    this.stopWatching?.();
    this.stopWatching = () => {};
    this.agent?.destroy();
    this.agent = undefined;
  }

  private readOnce(): Promise<void> {
    this.stopWatching ??= this.watch();
    this.reading ??= this.read().finally(() => {
      this.reading = undefined;
    });
    return this.reading;
  }

  private watch(): () => void {
    const { tokenFile, tls } = this.options;
    const files = [tokenFile, tls?.ca, tls?.cert, tls?.key].filter((path) => path !== undefined);
    const stops = files.map((path) => watchFile(path, this.clock, () => void this.changed()));
    return () => {
      for (const stop of stops) stop();
    };
  }

  private async changed(): Promise<void> {
    // What is being read may be what was there before.
    await this.reading?.catch(() => {});
    const { token, agent } = this;
    if (agent === undefined) return;
    this.known = false;
    await this.readOnce();
    if (this.agent !== undefined && (token !== this.token || agent !== this.agent))
      for (const listener of [...this.listeners]) listener();
  }

  private async read(): Promise<void> {
    const { tokenFile, tls } = this.options;
    const before = this.material;
    const material = await this.files.read({ token: tokenFile, ca: tls?.ca, cert: tls?.cert, key: tls?.key });
    if (tokenFile !== undefined) this.token = material.token;
    this.material = material;
    const { ca, cert, key } = material;
    if (this.agent === undefined || ca !== before.ca || cert !== before.cert || key !== before.key) {
      const old = this.agent;
      this.agent = await this.makeAgent();
      if (old !== undefined) retire(old);
    }
    this.known = true;
  }

  private async makeAgent(): Promise<Agent> {
    // As many as there are blocking queries at once: a connection that is not kept is made again for the next one.
    const common = { keepAlive: true, maxFreeSockets: 64, maxTotalSockets: this.connections, lookup };
    // Loaded when needed: https alone takes 5 MB.
    if (!this.secure) return new (await import("node:http")).Agent(common);
    const https = await import("node:https");
    const { ca, cert, key } = this.material;
    const servername = this.options.tls?.serverName;
    return new https.Agent({
      ...common,
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(servername === undefined ? {} : { servername }),
    });
  }
}

/** The HTTP client of the consul package leaves the brackets around an IPv6 host, which no resolver knows. */
const lookup: LookupFunction = (host, options, callback) =>
  dnsLookup(host.replace(/^\[(.*)\]$/, "$1"), options, callback);

/** Requests under way keep their connection until they are answered; idle ones are closed. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}
