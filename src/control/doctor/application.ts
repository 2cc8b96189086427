import { connect, constants } from "node:http2";
import { decodeResponse, encodeRequest } from "../../cluster/health-message.ts";
import type { ServiceConfig } from "../../config/types.ts";
import { formatAddress } from "../../core/address.ts";
import { type Check, error, type Finding, messageOf, ok, warning } from "./finding.ts";
import { checkHttpHealth } from "./http-application.ts";
import { reach } from "./reach.ts";

const NAME = "application";
/** Milliseconds for the answer to a health check. */
const PATIENCE = 5000;

/** Whether the application beside the sidecar is there, answers its health check, and keeps connections. */
export const checkApplication: Check = async ({ config: { service }, clock, patience }) => {
  if (service === undefined) return [];
  const where = formatAddress(service.address);
  try {
    await reach(service.address);
  } catch (reason) {
    return [
      error(
        NAME,
        `${where} does not take connections: ${messageOf(reason)}`,
        `Start the application, or have service.address say where it listens. Inbound calls are answered with CONNECT_REFUSED until then.`,
      ),
    ];
  }
  const findings: Finding[] = [ok(NAME, `${where} takes connections`)];
  if (service.health === "grpc") findings.push(await healthOf(service, where));
  if (service.health === "http") findings.push(...(await checkHttpHealth(service, where, patience, clock)));
  // A connection of TCP is one call, and what HTTP/1.1 does with one can only be seen after a request.
  if (service.protocol === "grpc" || service.protocol === "http2")
    findings.push(await idleOf(service, where, patience, clock));
  return findings;
};

function session(service: ServiceConfig) {
  const { address } = service;
  const to = address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
  // The URL is there for :authority; `to` is where it goes.
  return connect("http://localhost", { ...to, protocol: "http:" });
}

async function healthOf(service: ServiceConfig, where: string): Promise<Finding> {
  try {
    const answer = await askHealth(service);
    if (answer === "SERVING") return ok(NAME, `${where} answers grpc.health.v1 with SERVING`);
    return error(
      NAME,
      `${where} answers grpc.health.v1 with ${answer}`,
      "The sidecar is not ready and the service not registered as healthy until it says SERVING: see the application's log.",
    );
  } catch (reason) {
    return error(
      NAME,
      `${where} does not answer grpc.health.v1: ${messageOf(reason)}`,
      "Register the health service in the application, or set service.health to tcp or none.",
    );
  }
}

function askHealth(service: ServiceConfig): Promise<string> {
  return new Promise((resolve, reject) => {
    const client = session(service);
    const fail = (reason: Error): void => {
      client.destroy();
      reject(reason);
    };
    client.once("error", fail);
    client.setTimeout(PATIENCE, () => fail(new Error(`no answer within ${PATIENCE / 1000}s`)));
    const stream = client.request({
      [constants.HTTP2_HEADER_METHOD]: "POST",
      [constants.HTTP2_HEADER_PATH]: "/grpc.health.v1.Health/Check",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    let status = "";
    const look = (headers: Readonly<Record<string, unknown>>): void => {
      const field = headers["grpc-status"];
      if (typeof field === "string") status = field;
    };
    stream.on("response", look).on("trailers", look);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.once("error", fail);
    stream.once("close", () => {
      client.destroy();
      const said = decodeResponse(Buffer.concat(chunks));
      if (said !== undefined) resolve(said);
      else reject(new Error(status === "12" ? "UNIMPLEMENTED" : `grpc-status ${status || "missing"}`));
    });
    stream.end(encodeRequest(""));
  });
}

/** The sidecar keeps its connection for ever; who closes it for being idle makes calls meet a connection that is going. */
async function idleOf(
  service: ServiceConfig,
  where: string,
  patience: number,
  clock: Parameters<Check>[0]["clock"],
): Promise<Finding> {
  const begun = clock.now();
  const closed = await new Promise<string | undefined>((resolve) => {
    const client = session(service);
    const timer = clock.setTimer(patience, () => end(undefined));
    const end = (how: string | undefined): void => {
      timer.cancel();
      client.destroy();
      resolve(how);
    };
    client.once("error", (reason) => end(messageOf(reason)));
    client.once("goaway", () => end("GOAWAY"));
    client.once("close", () => end("a close"));
  });
  const seconds = Math.round((clock.now() - begun) / 100) / 10;
  if (closed === undefined) return ok(NAME, `${where} keeps an idle connection, at least for ${seconds}s`);
  return warning(
    NAME,
    `${where} ended an idle connection after ${seconds}s, by ${closed}; the sidecar keeps it open`,
    "Let the application's idle timeout be longer than the pauses between calls. A call that meets the end is made again, at the cost of a new connection.",
  );
}
