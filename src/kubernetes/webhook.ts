import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Logger } from "pino";
import type { KeyPair } from "../identity/make-certificate.ts";
import { review } from "./review.ts";
import type { MeshDefaults } from "./settings.ts";

/** Where the webhook listens, and what it puts into pods. */
export interface WebhookOptions {
  readonly host: string;
  readonly port: number;
  readonly defaults: MeshDefaults;
  readonly log: Logger;
}

/** A pod with many containers has some 100 KB; etcd takes objects of 1.5 MiB. */
const MAX_BODY = 3 * 1024 * 1024;
/** Milliseconds for a request: the API server itself waits 5 s (see the webhook's configuration). */
const REQUEST_TIMEOUT = 10_000;
const MAX_CONNECTIONS = 256;
const OPTIONS = {
  minVersion: "TLSv1.2",
  handshakeTimeout: REQUEST_TIMEOUT,
  requestTimeout: REQUEST_TIMEOUT,
  headersTimeout: REQUEST_TIMEOUT,
} as const;

/** The mutating admission webhook: `POST /inject` for the API server, `GET /ready` and `/live` for kubelet. */
export class Webhook {
  private readonly server: Server;
  private readonly options: WebhookOptions;
  private hasCertificate = false;
  private leaving = false;

  constructor(options: WebhookOptions) {
    this.options = options;
    this.server = createServer(OPTIONS, (request, response) => {
      this.answer(request, response).catch((error: unknown) => {
        // One pod that cannot be understood is not the others' matter.
        options.log.error({ err: error }, "a review failed");
        end(response, 500, "the review failed; the injector's log says why\n");
      });
    });
    this.server.maxConnections = MAX_CONNECTIONS;
    this.server.on("tlsClientError", (error) => options.log.debug({ err: error }, "a TLS handshake failed"));
  }

  /** Uses a certificate from the next handshake on; connections that stand keep theirs. */
  useCertificate({ certificate, key }: KeyPair): void {
    this.server.setSecureContext({ cert: certificate, key });
    this.hasCertificate = true;
  }

  /** Binds; resolves with the port. Rejects where it is taken. */
  async listen(): Promise<number> {
    const { host, port } = this.options;
    this.server.listen(port, ...(host === "" ? [] : [host]));
    await once(this.server, "listening");
    const address = this.server.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  /** Not ready any more; requests are still answered, for the API server learns of it only after a while. */
  beginDrain(): void {
    this.leaving = true;
  }

  /** Ends when the requests under way are answered. */
  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server, "close");
    this.server.close();
    this.server.closeIdleConnections();
    await closed;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split("?")[0];
    if (request.method === "GET" && path === "/live") return end(response, 200, "live\n");
    if (request.method === "GET" && path === "/ready") {
      const ready = this.hasCertificate && !this.leaving;
      return end(response, ready ? 200 : 503, ready ? "ready\n" : "not ready\n");
    }
    if (request.method !== "POST" || path !== "/inject") return end(response, 404, "POST /inject, GET /ready, /live\n");
    const type = request.headers["content-type"] ?? "";
    if (!/^application\/json *(;|$)/i.test(type)) return end(response, 415, "a review is application/json\n");
    const body = await readBody(request);
    if (body === undefined) {
      // The rest is read, as far as it comes in time: a connection that is closed on it would take the answer with it.
      request.resume();
      return end(response, 413, `a review is at most ${MAX_BODY} octets\n`);
    }
    const { log, defaults } = this.options;
    const reviewed = review(body, defaults);
    if ("problem" in reviewed) return end(response, 400, `${reviewed.problem}\n`);
    const { answer, what, detail, pod } = reviewed;
    log[what === "refused" ? "warn" : "info"]({ pod, what, ...(detail === "" ? {} : { detail }) }, "reviewed a pod");
    response.setHeader("content-type", "application/json");
    return end(response, 200, JSON.stringify(answer));
  }
}

function end(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.end(text);
}

/** The text of a request; undefined where it is too long or was broken off. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  if (Number(request.headers["content-length"]) > MAX_BODY) return undefined;
  try {
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      if (!Buffer.isBuffer(chunk)) return undefined;
      size += chunk.length;
      if (size > MAX_BODY) return undefined;
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks).toString("utf8");
}
