import { readFile } from "node:fs/promises";
import { isDeepStrictEqual } from "node:util";
import type { AdminConfig } from "../config/types.ts";
import type { Clock } from "../core/clock.ts";

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
 * force within a second; a file that cannot be read, or is empty for a moment, changes nothing.
 */
export class AdminSecrets {
  private readonly access: () => AdminAccess;
  private readonly clock: Clock;
  private of: AdminAccess | undefined = undefined;
  /** What is in force of it; undefined until it was read. */
  private known: AdminMaterial | undefined = undefined;
  private last: AdminMaterial | undefined = undefined;
  private readAt = 0;
  private reading: Promise<AdminMaterial> | undefined = undefined;

  /** `access`: what is in force, asked each time. */
  constructor(access: () => AdminAccess, clock: Clock) {
    this.access = access;
    this.clock = clock;
  }

  /** The same object until something has changed. Rejects, naming the file, where one could never be read yet. */
  async current(): Promise<AdminMaterial> {
    const access = this.access();
    if (access !== this.of) {
      this.of = access;
      this.known = undefined;
      this.reading = undefined;
    }
    if (this.known !== undefined && this.clock.now() - this.readAt < REREAD) return this.known;
    this.reading ??= this.read(access, this.known).finally(() => {
      this.reading = undefined;
    });
    return await this.reading;
  }

  private async read(access: AdminAccess, before: AdminMaterial | undefined): Promise<AdminMaterial> {
    const { token, tokenFile, tls } = access;
    const [said, cert, key, clientCa] = await Promise.all([
      tokenFile === undefined ? token : readSecret(tokenFile, before?.token),
      readSecret(tls?.cert, before?.tls?.cert),
      readSecret(tls?.key, before?.tls?.key),
      readSecret(tls?.clientCa, before?.tls?.clientCa),
    ]);
    const material = {
      token: said?.trim(),
      tls: cert === undefined || key === undefined ? undefined : { cert, key, clientCa },
    };
    const { last } = this;
    const current = last !== undefined && isDeepStrictEqual(last, material) ? last : material;
    this.last = current;
    // Another configuration has come meanwhile.
    if (access !== this.of) return await this.current();
    this.known = current;
    this.readAt = this.clock.now();
    return current;
  }
}

async function readSecret(path: string | undefined, before: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  let why = "it is empty";
  try {
    const text = await readFile(path, "utf8");
    if (text.trim() !== "") return text;
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  if (before !== undefined) return before;
  throw new Error(`admin: cannot use ${path}: ${why}`);
}
