import type { Clock } from "../../core/clock.ts";
import { watchFile } from "../../core/watch-file.ts";
import { authorityFiles, DEVELOPMENT_DOMAIN, DevelopmentCa } from "../development-ca.ts";
import type { IdentitySource, MaterialTaker } from "../material.ts";

/** Milliseconds that a certificate of the development CA is valid. */
const LIFETIME = 24 * 3_600_000;
/** Looks, and milliseconds between two, for another sidecar that is making the authority to finish it. */
const PATIENCE = 500;
const PAUSE = 10;

/** The sidecar has itself certified by an authority in a folder, which it makes where there is none. */
export class DevelopmentIdentity implements IdentitySource {
  readonly kind = "development";
  private readonly folder: string;
  private readonly service: string;
  private readonly clock: Clock;
  private readonly lifetime: number;
  private taker: MaterialTaker | undefined = undefined;
  private stop: () => void = () => {};
  private seen = "";

  constructor(folder: string, service: string, clock: Clock, lifetime = LIFETIME) {
    this.folder = folder;
    this.service = service;
    this.clock = clock;
    this.lifetime = lifetime;
  }

  async start(taker: MaterialTaker): Promise<void> {
    this.taker = taker;
    await DevelopmentCa.init(this.folder, DEVELOPMENT_DOMAIN, this.clock.wall());
    await this.issue(await this.opened());
    this.stop = watchFile(authorityFiles(this.folder).certificate, this.clock, () => void this.authorityChanged());
  }

  renew(): void {
    void this.again();
  }

  async close(): Promise<void> {
    this.taker = undefined;
    this.stop();
  }

  /** The key is there before the certificate: whoever made the authority may not be done yet. */
  private async opened(): Promise<DevelopmentCa> {
    for (let patience = PATIENCE; ; patience--) {
      try {
        return await DevelopmentCa.open(this.folder);
      } catch (error) {
        if (patience === 0) throw error;
        await new Promise<void>((resolve) => void this.clock.setTimer(PAUSE, resolve));
      }
    }
  }

  private async authorityChanged(): Promise<void> {
    const ca = await DevelopmentCa.open(this.folder).catch(() => undefined);
    if (ca !== undefined && ca.authority.certificate !== this.seen) await this.again();
  }

  private async again(): Promise<void> {
    try {
      await this.issue(await DevelopmentCa.open(this.folder));
    } catch (error) {
      this.taker?.failed(error instanceof Error ? error.message : String(error));
    }
  }

  private async issue(ca: DevelopmentCa): Promise<void> {
    const { certificate, key } = await ca.issue(this.service, this.lifetime, this.clock.wall());
    this.seen = ca.authority.certificate;
    const authorities = ca.authority.certificate;
    this.taker?.take({ certificate, key, authorities, federated: new Map(), revoked: undefined });
  }
}
