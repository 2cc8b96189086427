import { readFileSync } from "node:fs";
import { loadConfig } from "../config/load.ts";
import { type AdminTarget, targetOf } from "../control/admin-client.ts";
import { parseAddress } from "../core/address.ts";
import { type Input, type Option, UsageError } from "./command.ts";
import { readConfigFile } from "./config-file.ts";

/** The variable that has the token where no file of it is named. */
const TOKEN = "OUTRIGGER_ADMIN_TOKEN";

/** The options of commands that ask a running sidecar. */
export const adminOptions: Readonly<Record<string, Option>> = {
  admin: {
    value: "ADDRESS",
    doc: "the admin listener of the sidecar; without it that of the configuration, then 127.0.0.1:15000",
  },
  "token-file": { value: "FILE", doc: `a file with its token; without it ${TOKEN}, then that of the configuration` },
  ca: { value: "FILE", doc: "PEM of its certificate or of who signed it, where it speaks HTTPS" },
  cert: { value: "FILE", doc: "PEM of a certificate to show to it" },
  key: { value: "FILE", doc: "PEM of its key" },
};

const DEFAULT: AdminTarget = { address: { kind: "tcp", host: "127.0.0.1", port: 15000 } };

/** The admin listener of the sidecar that is meant, and what it wants. Throws a UsageError. */
export function adminTarget(input: Input): AdminTarget {
  const { address, token, tls } = described(input);
  const file = read(input, "token-file")?.trim();
  const ca = read(input, "ca") ?? tls?.ca;
  const cert = read(input, "cert");
  const key = read(input, "key");
  if ((cert === undefined) !== (key === undefined)) throw new UsageError("--cert and --key go together");
  if (ca === undefined && cert !== undefined) throw new UsageError("--cert needs --ca: to whom it may be shown");
  return { address, token: file ?? input.env[TOKEN] ?? token, tls: ca === undefined ? undefined : { ca, cert, key } };
}

function described(input: Input): AdminTarget {
  const named = input.value("admin");
  if (named !== undefined) {
    const address = parseAddress(named);
    if (typeof address === "string") throw new UsageError(`--admin ${named}: ${address}`);
    return { address };
  }
  let source: { readonly file: string; readonly text: string };
  try {
    source = readConfigFile(input);
  } catch (error) {
    if (input.value("config") !== undefined) throw error;
    return DEFAULT;
  }
  const loaded = loadConfig(source.text, { file: source.file, env: input.env });
  if (!loaded.ok)
    throw new UsageError(`${source.file} is broken, see outrigger check; or name the listener by --admin`);
  return orUsage("", () => targetOf(loaded.config));
}

function read(input: Input, option: string): string | undefined {
  const file = input.value(option);
  return file === undefined ? undefined : orUsage(`--${option}: `, () => readFileSync(file, "utf8"));
}

function orUsage<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new UsageError(`${what}${error instanceof Error ? error.message : String(error)}`);
  }
}
