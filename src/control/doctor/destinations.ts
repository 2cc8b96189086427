import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { type Address, formatAddress } from "../../core/address.ts";
import type { RateLimitOptions } from "../../limits/rate-limit.ts";
import { type Check, error, type Finding, messageOf, ok, warning } from "./finding.ts";
import { ask, reach } from "./reach.ts";

/** Endpoints in the file that are tried, of an upstream. */
const MOST = 16;

/** What else the configuration leads to: upstreams in the file, the collector, the application's metrics, stores of rate limits, folders. */
export const checkDestinations: Check = async ({ config }) => {
  const findings: Promise<Finding>[] = [];
  const { tracing, metrics, discovery, rateLimits, upstreams } = config;
  for (const [name, { endpoints }] of upstreams)
    if (endpoints.length > 0) findings.push(upstreamAt(name, endpoints.slice(0, MOST)));
  if (tracing !== undefined)
    findings.push(
      connectTo(
        "tracing",
        tracing.otlp,
        "Spans are dropped until the collector is there: start it, or correct tracing.otlp.",
      ),
    );
  for (const store of new Set(rateLimits.map(storeOf)))
    if (store !== undefined)
      findings.push(
        connectTo("store", store, "Rate limits do as onStoreFailure or quotaService says until the store is there."),
      );
  if (metrics.application !== undefined) findings.push(scrape(metrics.application));
  if (discovery.directory !== undefined)
    findings.push(writable("directory", discovery.directory.path, await standing(discovery.directory.path)));
  if (discovery.cache !== undefined) findings.push(writable("cache", discovery.cache, dirname(discovery.cache)));
  return await Promise.all(findings);
};

/** An upstream whose endpoints stand in the file. One that is down is an instance that may come back, and costs no call. */
async function upstreamAt(name: string, endpoints: readonly Address[]): Promise<Finding> {
  const failures = await Promise.all(
    endpoints.map((address) =>
      reach(address).then(
        () => undefined,
        (reason: unknown) => `${formatAddress(address)}: ${messageOf(reason)}`,
      ),
    ),
  );
  const down = failures.filter((failure) => failure !== undefined);
  const up = `${endpoints.length - down.length} of ${endpoints.length} endpoints of ${name} take connections`;
  if (down.length === 0) return ok("upstream", up);
  const remedy = `Start what listens there, or correct upstreams.${name}.endpoints.`;
  if (down.length < endpoints.length) return warning("upstream", `${up}, not ${down.join("; ")}`, remedy);
  return error(
    "upstream",
    `no endpoint of ${name} takes connections: ${down.join("; ")}`,
    `${remedy} Calls to it are answered with UNAVAILABLE until then.`,
  );
}

/** Who counts for a limit, as a URL; undefined where this process does, or a service on a unix socket. */
function storeOf({ counted }: RateLimitOptions): string | undefined {
  if (counted.by !== "service" && counted.by !== "quota") return counted.shared?.url;
  const { address } = counted.by === "service" ? counted.service : counted.quota;
  return address.startsWith("unix:") ? undefined : `grpc://${address}`;
}

async function connectTo(check: string, url: string, remedy: string): Promise<Finding> {
  const { hostname, port, protocol } = new URL(url);
  const usual = protocol === "https:" ? 443 : protocol.startsWith("redis") ? 6379 : 80;
  const address: Address = {
    kind: "tcp",
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? usual : Number(port),
  };
  const shown = `${protocol}//${hostname}:${address.port}`;
  try {
    await reach(address);
    return ok(check, `${shown} takes connections`);
  } catch (reason) {
    return warning(check, `${shown} does not take connections: ${messageOf(reason)}`, remedy);
  }
}

async function scrape(url: string): Promise<Finding> {
  const remedy = "Correct metrics.application: the sidecar's own metrics are there without the application's.";
  try {
    const { status, body } = await ask(url);
    if (status === 200 && /^[a-zA-Z_:][a-zA-Z0-9_:]*[ {]/m.test(body)) return ok("metrics", `${url} has metrics`);
    return warning("metrics", `${url} answers with ${status} and no metrics`, remedy);
  } catch (reason) {
    return warning("metrics", `${url} does not answer: ${messageOf(reason)}`, remedy);
  }
}

/** The folder itself, or the nearest above it that is there: the sidecar makes the rest when it starts. */
async function standing(folder: string): Promise<string> {
  const above = dirname(folder);
  if (above === folder || (await stat(folder).then(Boolean, isDenied))) return folder;
  return await standing(above);
}

function isDenied(reason: unknown): boolean {
  return !(reason instanceof Error && "code" in reason && reason.code === "ENOENT");
}

async function writable(check: string, path: string, folder: string): Promise<Finding> {
  try {
    if (!(await stat(folder)).isDirectory()) throw new Error(`${folder} is no folder`);
    await access(folder, constants.W_OK);
    return ok(check, `${path} can be written`);
  } catch (reason) {
    return error(
      check,
      `${path} cannot be written: ${messageOf(reason)}`,
      `Create ${folder} and give this user the right to write there.`,
    );
  }
}
