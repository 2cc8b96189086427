import { Agent, type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import type { ServiceConfig } from "../../config/types.ts";
import type { Clock } from "../../core/clock.ts";
import { error, type Finding, messageOf, ok, warning } from "./finding.ts";

const NAME = "application";
/** Milliseconds for the answer. */
const PATIENCE = 5000;

/**
 * Whether an application that speaks HTTP/1.1 answers its health check, and keeps the connection of it for `patience` milliseconds.
 * Nothing else is asked of it: of another request nobody knows what it does.
 */
export async function checkHttpHealth(
  service: ServiceConfig,
  where: string,
  patience: number,
  clock: Clock,
): Promise<Finding[]> {
  const path = service.healthPath ?? "/";
  const agent = new Agent({ keepAlive: true });
  try {
    const { answer, socket } = await ask(service, path, agent);
    const { statusCode = 0, headers } = answer;
    if (statusCode < 200 || statusCode > 299)
      return [
        error(
          NAME,
          `${where} answers GET ${path} with ${statusCode}`,
          "The sidecar is not ready and the service not registered as healthy until it is a 2xx: see the application's log, or correct service.healthPath.",
        ),
      ];
    const answers = ok(NAME, `${where} answers GET ${path} with ${statusCode}`);
    // It says itself how long: the sidecar heeds that, as every client does.
    const said = /\btimeout=(\d+)/.exec(String(headers["keep-alive"] ?? ""))?.[1];
    if (said !== undefined)
      return [answers, ok(NAME, `${where} says that it keeps an idle connection for ${said}s, which is heeded`)];
    const begun = clock.now();
    const isKept = await new Promise<boolean>((resolve) => {
      const timer = clock.setTimer(patience, () => resolve(true));
      const ended = (): void => {
        timer.cancel();
        resolve(false);
      };
      if (socket.destroyed) ended();
      else socket.once("close", ended);
    });
    const seconds = Math.round((clock.now() - begun) / 100) / 10;
    if (isKept) return [answers, ok(NAME, `${where} keeps an idle connection, at least for ${seconds}s`)];
    return [
      answers,
      warning(
        NAME,
        `${where} ended an idle connection after ${seconds}s without having said so; the sidecar keeps it open for 60s`,
        "Have it say Keep-Alive: timeout=SECONDS, or keep idle connections longer. A request with a body that meets the end fails with UPSTREAM_LOST.",
      ),
    ];
  } catch (reason) {
    return [
      error(
        NAME,
        `${where} does not answer GET ${path}: ${messageOf(reason)}`,
        "Correct service.protocol and service.healthPath, or set service.health to tcp or none.",
      ),
    ];
  } finally {
    agent.destroy();
  }
}

/** An answer, and the connection that it came on. */
interface Asked {
  readonly answer: IncomingMessage;
  readonly socket: Socket;
}

function ask({ address }: ServiceConfig, path: string, agent: Agent): Promise<Asked> {
  const to =
    address.kind === "unix"
      ? { socketPath: address.path }
      : { host: address.host === "" ? "127.0.0.1" : address.host, port: address.port };
  return new Promise((resolve, reject) => {
    const asked = request({ ...to, path, agent, headers: { host: "localhost" } }, (answer) => {
      // Once it has ended the agent has its connection.
      const { socket } = answer;
      answer.once("end", () => resolve({ answer, socket })).once("error", reject);
      answer.resume();
    });
    asked.setTimeout(PATIENCE, () => asked.destroy(new Error(`no answer within ${PATIENCE / 1000}s`)));
    asked.once("error", reject);
    asked.end();
  });
}
