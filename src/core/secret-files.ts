import { readFile } from "node:fs/promises";

/** What stands in files: a token, and what TLS is spoken with. Absent where nothing is configured. */
export interface Secrets {
  readonly token?: string | undefined;
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/**
 * Files with secrets, which may be replaced at any time.
 *
 * Invariant: what cannot be used, one of them or how they go together, changes nothing and is told once; what was read before stays.
 */
export class SecretFiles {
  private readonly whose: string;
  private readonly tell: (message: string) => void;
  private known: Secrets | undefined = undefined;
  private problem: string | undefined = undefined;

  /** `whose`: what they are for, in words for people. */
  constructor(whose: string, tell: (message: string) => void) {
    this.whose = whose;
    this.tell = tell;
  }

  /** Reads them all; the same object while nothing has changed. Rejects, naming the file, where they could never be used yet. */
  async read(paths: Secrets): Promise<Secrets> {
    try {
      const [token, ca, cert, key] = await Promise.all([paths.token, paths.ca, paths.cert, paths.key].map(read));
      const now: Secrets = { token: token?.trim(), ca, cert, key };
      const { known } = this;
      const isNews = known === undefined || names.some((name) => known[name] !== now[name]);
      if (isNews) checkTls(now, paths);
      this.problem = undefined;
      if (isNews) this.known = now;
      return isNews || known === undefined ? now : known;
    } catch (error) {
      const why = `${this.whose}: ${error instanceof Error ? error.message : String(error)}`;
      if (this.known === undefined) throw new Error(why);
      if (why !== this.problem) this.tell(`${why}; what was there before stays in force`);
      this.problem = why;
      return this.known;
    }
  }
}

const names = ["token", "ca", "cert", "key"] as const;

async function read(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  let why: string;
  try {
    const text = await readFile(path, "utf8");
    if (text.trim() !== "") return text;
    why = "it is empty";
  } catch (error) {
    why = error instanceof Error ? error.message : String(error);
  }
  throw new Error(`cannot use ${path}: ${why}`);
}

/** Throws where no TLS can be spoken with them: one is no PEM, or the key is another's. */
function checkTls({ ca, cert, key }: Secrets, paths: Secrets): void {
  if (ca === undefined && cert === undefined) return;
  const { X509Certificate, createPrivateKey } = process.getBuiltinModule("node:crypto");
  const { createSecureContext } = process.getBuiltinModule("node:tls");
  let file = paths.ca;
  try {
    // OpenSSL takes a list of authorities without any for an empty one.
    if (ca !== undefined) new X509Certificate(ca);
    file = paths.cert;
    const certificate = cert === undefined ? undefined : new X509Certificate(cert);
    file = paths.key;
    if (key === undefined || certificate === undefined) return;
    if (!certificate.checkPrivateKey(createPrivateKey(key))) throw new Error(`it is not the key of ${paths.cert}`);
    createSecureContext({ ca, cert, key });
  } catch (error) {
    // Neither of these messages has a part of a file in it.
    throw new Error(`cannot use ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
