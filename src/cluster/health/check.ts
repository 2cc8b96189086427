import { get } from "node:http";
import type { Address } from "../../core/address.ts";
import { version } from "../../core/version.ts";
import type { Head } from "../../http/headers.ts";
import type { Http2Services } from "../../http2/connection.ts";
import { dial } from "../../net/connector.ts";
import { checkHealth } from "../grpc-health.ts";
import { askPool, type Question } from "../pool/ask-pool.ts";
import type { Pool } from "../pool/pool.ts";

/** How endpoints are asked whether they serve. Times in milliseconds. */
export interface CheckSettings {
  readonly kind: "grpc" | "http" | "tcp";
  /** grpc: the service that is asked for; "" for the server as a whole. */
  readonly service: string;
  /** http: what is asked for. */
  readonly path: string;
  /** http and tcp: another port of the endpoint's host, which is spoken to over connections of its own and in HTTP/1.1. */
  readonly port: number | undefined;
  readonly interval: number;
  readonly timeout: number;
  /** The share of the interval by which one is longer or shorter than the other, so that checks do not come in step. */
  readonly jitter: number;
  /** Failed checks in a row until an endpoint gets no calls. */
  readonly unhealthyAfter: number;
  /** Passed checks in a row until it gets them again. */
  readonly healthyAfter: number;
}

/** Who is asked. */
export interface CheckTarget {
  readonly address: Address;
  readonly pool: Pool;
}

/** What health checks need. */
export interface CheckServices extends Http2Services {
  readonly random: () => number;
}

/** Asks once. What is wrong, or undefined where nothing is. Never rejects. */
export async function findFault(
  { address, pool }: CheckTarget,
  settings: CheckSettings,
  services: CheckServices,
): Promise<string | undefined> {
  const { kind, service, path, port, timeout } = settings;
  if (kind === "grpc") {
    const answer = await checkHealth(pool, service, timeout, services);
    if (answer === "SERVING") return undefined;
    return typeof answer === "string" ? `its health is ${answer}` : answer.error;
  }
  if (kind === "tcp") return await knock(portOf(address, port), timeout, services);
  if (port !== undefined) return await fetchHttp1(portOf(address, port), path, timeout, services);
  return await fetchHttp2(pool, path, timeout, services);
}

function portOf(address: Address, port: number | undefined): Address {
  return port === undefined || address.kind === "unix" ? address : { ...address, port };
}

function knock(address: Address, timeout: number, { clock }: CheckServices): Promise<string | undefined> {
  return new Promise((resolve) => {
    dial(
      address,
      { clock, timeout },
      {
        receive() {},
        done(result) {
          if (result.kind === "connected") result.socket.on("error", () => {}).destroy();
          resolve(result.kind === "connected" ? undefined : result.message);
        },
      },
    );
  });
}

function fetchHttp2(pool: Pool, path: string, timeout: number, services: CheckServices): Promise<string | undefined> {
  const question: Question<{ readonly fault: string | undefined }> = {
    fields: [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", path],
      [":authority", "localhost"],
      ["user-agent", `outrigger/${version}`],
    ],
    body: undefined,
    onHead: (head: Head) => ({ fault: faultOf(Number(head.get(":status")), path) }),
    onEnd: () => ({ fault: undefined }),
    onFailure: (fault) => ({ fault }),
  };
  return askPool(pool, question, timeout, services).then(({ fault }) => fault);
}

/** Asks in HTTP/1.1, over a connection of its own. What is wrong, or undefined where nothing is. Never rejects. */
export function fetchHttp1(
  address: Address,
  path: string,
  timeout: number,
  { clock }: Pick<CheckServices, "clock">,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const where = address.kind === "unix" ? { socketPath: address.path } : { host: address.host, port: address.port };
    const request = get({ ...where, path, agent: false, headers: { "user-agent": `outrigger/${version}` } });
    const settle = (fault: string | undefined): void => {
      timer.cancel();
      request.destroy();
      resolve(fault);
    };
    const timer = clock.setTimer(timeout, () => settle(`no answer to a health check within ${timeout} ms`));
    request.once("response", ({ statusCode }) => settle(faultOf(statusCode ?? 0, path)));
    request.on("error", ({ message }) => settle(`a health check failed: ${message}`));
  });
}

function faultOf(status: number, path: string): string | undefined {
  return status >= 200 && status < 300 ? undefined : `GET ${path} was answered with ${status}`;
}
