import { join } from "node:path";
import { parseServiceName } from "../config/schema/names.ts";
import { parseDuration } from "../config/schema/units.ts";
import { systemClock } from "../core/clock.ts";
import { authorityFiles, DEVELOPMENT_DOMAIN, DevelopmentCa, replaceFile } from "../identity/development-ca.ts";
import { parseSpiffeId } from "../identity/spiffe.ts";
import { type Command, Exit, type Input, print, UsageError } from "./command.ts";

const DAY = 86_400_000;

/** `outrigger ca`. */
export const caCommand: Command = {
  summary: "an authority for one machine, and certificates of it: for development",
  words: "init | issue",
  options: {
    path: { value: "DIR", doc: "the authority's folder" },
    "trust-domain": { value: "NAME", doc: `init: its trust domain; ${DEVELOPMENT_DOMAIN} without it` },
    service: { value: "NAME", doc: "issue: for whom" },
    out: { value: "DIR", doc: "issue: where cert.pem, key.pem and ca.pem go; DIR/NAME of the authority without it" },
    valid: { value: "DURATION", doc: "issue: for how long, such as 12h; 24h without it" },
  },
  async run(input) {
    const [action, ...more] = input.words;
    if (action === undefined) throw new UsageError("init, or issue?");
    if (action !== "init" && action !== "issue")
      throw new UsageError(`outrigger ca knows init and issue, not "${action}"`);
    if (more.length > 0) throw new UsageError(`outrigger ca ${action} takes no "${more[0]}"`);
    const path = needed(input, "path", action);
    if (action === "init") return await init(path, input.value("trust-domain") ?? DEVELOPMENT_DOMAIN);
    return await issue(path, needed(input, "service", action), input);
  },
};

async function init(path: string, trustDomain: string): Promise<number> {
  const id = parseSpiffeId(`spiffe://${trustDomain}`);
  if (typeof id === "string" || id.trustDomain !== trustDomain)
    throw new UsageError(`"${trustDomain}" is no trust domain${typeof id === "string" ? `: ${id}` : ""}`);
  const made = await DevelopmentCa.init(path, trustDomain, systemClock.wall());
  const { certificate } = authorityFiles(path);
  if (made) return print({ ok: true, output: `an authority for ${trustDomain}: ${certificate}\n` });
  process.stderr.write(`outrigger: there is an authority in ${path} already, which stays\n`);
  return Exit.FAILED;
}

async function issue(path: string, service: string, input: Input): Promise<number> {
  const name = parseServiceName(service);
  if (name.kind === "problem") throw new UsageError(name.message);
  const valid = input.value("valid");
  const life = valid === undefined ? undefined : parseDuration(valid);
  if (life?.kind === "problem") throw new UsageError(`--valid: ${life.message}`);
  let ca: DevelopmentCa;
  try {
    ca = await DevelopmentCa.open(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(`outrigger: there is no authority in ${path}, outrigger ca init makes one: ${why}\n`);
    return Exit.FAILED;
  }
  const { certificate, key } = await ca.issue(service, life?.value ?? DAY, systemClock.wall());
  const out = input.value("out") ?? join(path, service);
  // The certificate last: who watches it finds the key that belongs to it.
  await replaceFile(join(out, "ca.pem"), ca.authority.certificate, 0o644);
  await replaceFile(join(out, "key.pem"), key, 0o600);
  await replaceFile(join(out, "cert.pem"), certificate, 0o644);
  return print({ ok: true, output: `a certificate for ${service}: ${join(out, "cert.pem")}\n` });
}

function needed(input: Input, option: string, action: string): string {
  const value = input.value(option);
  if (value === undefined || value === "") throw new UsageError(`outrigger ca ${action} needs --${option}`);
  return value;
}
