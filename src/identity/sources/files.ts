import { readFile } from "node:fs/promises";
import type { Clock, Timer } from "../../core/clock.ts";
import { watchFile } from "../../core/watch-file.ts";
import type { IdentitySource, Material, MaterialTaker } from "../material.ts";
import { certificateBlocks } from "../pem.ts";

/** `mtls.source.files`: paths of PEM files. */
export interface FilesOptions {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  /** Lists of revoked certificates, one of each authority. */
  readonly crl: string | undefined;
  /** Authorities of other trust domains. */
  readonly federated: ReadonlyMap<string, string>;
}

/** Milliseconds in which files that belong together are written one after the other. */
const TOGETHER = 50;

/** Certificates in files, read again whenever one of them changes. */
export class FilesIdentity implements IdentitySource {
  readonly kind = "files";
  private readonly options: FilesOptions;
  private readonly clock: Clock;
  private taker: MaterialTaker | undefined = undefined;
  private stops: (() => void)[] = [];
  private soon: Timer | undefined = undefined;

  constructor(options: FilesOptions, clock: Clock) {
    this.options = options;
    this.clock = clock;
  }

  async start(taker: MaterialTaker): Promise<void> {
    taker.take(await readMaterial(this.options));
    this.taker = taker;
    const { cert, key, ca, crl, federated } = this.options;
    for (const path of new Set([cert, key, ca, ...(crl === undefined ? [] : [crl]), ...federated.values()]))
      this.stops.push(watchFile(path, this.clock, () => this.renew()));
  }

  renew(): void {
    this.soon?.cancel();
    this.soon = this.clock.setTimer(TOGETHER, () => void this.read());
  }

  async close(): Promise<void> {
    this.taker = undefined;
    this.soon?.cancel();
    for (const stop of this.stops.splice(0)) stop();
  }

  private async read(): Promise<void> {
    try {
      const material = await readMaterial(this.options);
      this.taker?.take(material);
    } catch (error) {
      this.taker?.failed(error instanceof Error ? error.message : String(error));
    }
  }
}

/** Rejects, naming the file, where one cannot be read. */
async function readMaterial({ cert, key, ca, crl, federated }: FilesOptions): Promise<Material> {
  const [certificate, secret, authorities, revoked, others] = await Promise.all([
    read(cert),
    read(key),
    read(ca),
    crl === undefined ? undefined : read(crl),
    Promise.all([...federated].map(async ([domain, path]) => [domain, await readAuthorities(domain, path)] as const)),
  ]);
  return { certificate, key: secret, authorities, revoked, federated: new Map(others) };
}

/** A domain without an authority would be one that nobody is of. */
async function readAuthorities(domain: string, path: string): Promise<string> {
  const text = await read(path);
  if (certificateBlocks(text).length === 0) throw new Error(`there is no authority of ${domain} in ${path}`);
  return text;
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`cannot read ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
