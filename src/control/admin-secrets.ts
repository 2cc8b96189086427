import { isDeepStrictEqual } from "node:util";
import type { AdminConfig } from "../config/types.ts";
import type { Clock } from "../core/clock.ts";
import { SecretFiles } from "../core/secret-files.ts";

/** `admin` without what names it may be asked by. */
export type AdminAccess = Omit<AdminConfig, "hosts">;

/** What stands in the files now. */
export interface AdminMaterial {
  /** undefined: nobody has to say one. */
  readonly token: string | undefined;
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string | undefined } | undefined;
}

/** Files are looked at when somebody asks, but no more often than this, in milliseconds. */
const REREAD = 1000;

/**
 * The token and the TLS files of the admin listener. What stands in files is read again when somebody asks, so that what was changed is in
 * force within a second; a file that cannot be used, or is empty for a moment, changes nothing and is told of.
 */
export class AdminSecrets {
  private readonly access: () => AdminAccess;
  private readonly clock: Clock;
  private readonly tell: (message: string) => void;
  private files: SecretFiles;
  private of: AdminAccess | undefined = undefined;
  /** What is in force of it; undefined until it was read. */
  private known: AdminMaterial | undefined = undefined;
  private last: AdminMaterial | undefined = undefined;
  private readAt = 0;
  private reading: Promise<AdminMaterial> | undefined = undefined;

  /** `access`: what is in force, asked each time. `tell`: takes what people should know. */
  constructor(access: () => AdminAccess, clock: Clock, tell: (message: string) => void) {
    this.access = access;
    this.clock = clock;
    this.tell = tell;
    this.files = new SecretFiles("admin", tell);
  }

  /** The same object until something has changed. Rejects, naming the file, where one could never be read yet. */
  async current(): Promise<AdminMaterial> {
    const access = this.access();
    if (!isDeepStrictEqual(access, this.of)) {
      this.files = new SecretFiles("admin", this.tell);
      this.of = access;
      this.known = undefined;
      this.reading = undefined;
    }
    if (this.known !== undefined && this.clock.now() - this.readAt < REREAD) return this.known;
    this.reading ??= this.read(access).finally(() => {
      this.reading = undefined;
    });
    return await this.reading;
  }

  private async read(access: AdminAccess): Promise<AdminMaterial> {
    const { token, tokenFile, tls } = access;
    const read = await this.files.read({ token: tokenFile, cert: tls?.cert, key: tls?.key, ca: tls?.clientCa });
    const { cert, key, ca: clientCa } = read;
    const material = {
      token: tokenFile === undefined ? token?.trim() : read.token,
      tls: cert === undefined || key === undefined ? undefined : { cert, key, clientCa },
    };
    const { last } = this;
    const current = last !== undefined && isDeepStrictEqual(last, material) ? last : material;
    this.last = current;
    // Another configuration has come meanwhile.
    if (!isDeepStrictEqual(access, this.of)) return await this.current();
    this.known = current;
    this.readAt = this.clock.now();
    return current;
  }
}
