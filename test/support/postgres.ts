import { chown, mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./ports.ts";
import { type ProcessOptions, type RunningProcess, runProcess, startProcess } from "./process.ts";
import { requirePart } from "./real-parts.ts";

/** PostgreSQL refuses to run as root; then it runs as this user. */
const UNPRIVILEGED = "nobody";

/** Nothing is to survive the machine here, so nothing waits for its disk; a crash of the server is survived. */
const SETTINGS = ["fsync=off", "full_page_writes=off", "shared_buffers=16MB"];

export interface PostgresOptions {
  /** What it shows to clients that want TLS, in PEM; default: it speaks none. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

/** A PostgreSQL server of a test's own, in a folder and on a port of its own. */
export class Postgres {
  readonly port: number;
  readonly #folder: string;
  readonly #user: ProcessOptions;
  #process: RunningProcess | undefined;

  private constructor(port: number, folder: string, user: ProcessOptions) {
    this.port = port;
    this.#folder = folder;
    this.#user = user;
  }

  static async start({ tls }: PostgresOptions = {}): Promise<Postgres> {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-postgres-"));
    const user = await unprivileged();
    if (user.uid !== undefined) await chown(folder, user.uid, user.gid ?? user.uid);
    const postgres = new Postgres(await freePort(), folder, { ...user, cwd: folder });
    const flags = ["--pgdata", postgres.#data, "--username=postgres", "--auth=trust", "--encoding=UTF8"];
    const made = await runProcess(await program("initdb"), [...flags, "--locale=C.UTF-8", "--no-sync"], postgres.#user);
    if (made.code !== 0) throw new Error(`initdb failed: ${made.stderr}${made.stdout}`);
    if (tls !== undefined) await postgres.#use(tls.certificate, tls.key);
    await postgres.resume();
    return postgres;
  }

  get #data(): string {
    return join(this.#folder, "data");
  }

  /** The connection string of a database; that of the server is there from the beginning. */
  url(database = "postgres"): string {
    return `postgres://postgres@127.0.0.1:${this.port}/${database}`;
  }

  /** Starts the server, with what it had stored. Resolves when it takes connections. */
  async resume(): Promise<void> {
    const settings = [...SETTINGS, `port=${this.port}`, "listen_addresses=127.0.0.1", "max_connections=200"];
    const flags = [...settings, `unix_socket_directories=${this.#folder}`].flatMap((setting) => ["-c", setting]);
    this.#process = await startProcess(await program("postgres"), ["-D", this.#data, ...flags], this.#user);
    await this.#process.line(/database system is ready to accept connections/, 30_000);
  }

  async #use(certificate: string, key: string): Promise<void> {
    const { uid, gid } = this.#user;
    for (const [name, pem] of [["server.crt", certificate] as const, ["server.key", key] as const]) {
      const path = join(this.#data, name);
      await writeFile(path, pem, { mode: 0o600 });
      if (uid !== undefined) await chown(path, uid, gid ?? uid);
    }
    await writeFile(join(this.#data, "postgresql.conf"), "ssl = on\n", { flag: "a" });
  }

  /** Ends the server at once, as a crash does: connections break, and it has to recover. */
  async crash(): Promise<void> {
    this.#process?.signal("SIGQUIT");
    await this.#process?.exited;
  }

  async stop(): Promise<void> {
    await this.crash();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function unprivileged(): Promise<{ uid?: number; gid?: number }> {
  if (process.getuid?.() !== 0) return {};
  const id = async (flag: string): Promise<number> => Number((await runProcess("id", [flag, UNPRIVILEGED])).stdout);
  return { uid: await id("-u"), gid: await id("-g") };
}

/** Where a program is: the links of the parts may be in a folder that only root can look into. */
function program(name: string): Promise<string> {
  return realpath(requirePart(name));
}
