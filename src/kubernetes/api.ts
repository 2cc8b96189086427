import { readFileSync } from "node:fs";
import { request } from "node:https";
import type { Json } from "./json-patch.ts";

/** How the API server is reached. */
export interface ApiAccess {
  /** `https://HOST:PORT` */
  readonly url: string;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string;
  /** Read for each request: Kubernetes replaces it while we run. */
  readonly tokenFile: string;
}

/** The API server answered with something else than success. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Milliseconds that an answer may take. */
const TIMEOUT = 10_000;
const MAX_ANSWER = 4 * 1024 * 1024;

/** The few calls that the injector makes to the API server. */
export class KubernetesApi {
  private readonly access: ApiAccess;

  constructor(access: ApiAccess) {
    this.access = access;
  }

  /** The object at a path; undefined where there is none. Rejects with an ApiError, or what befell the connection. */
  async get(path: string): Promise<Json | undefined> {
    try {
      return await this.ask("GET", path);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return undefined;
      throw error;
    }
  }

  create(path: string, object: Json): Promise<Json> {
    return this.ask("POST", path, "application/json", object);
  }

  /** Replaces an object; with a `resourceVersion` in it only that very state of it, else the status of the error is 409. */
  replace(path: string, object: Json): Promise<Json> {
    return this.ask("PUT", path, "application/json", object);
  }

  /** Changes an object by a JSON Patch (RFC 6902). */
  patch(path: string, operations: Json): Promise<Json> {
    return this.ask("PATCH", path, "application/json-patch+json", operations);
  }

  private ask(method: string, path: string, type?: string, body?: Json): Promise<Json> {
    const { url, ca, tokenFile } = this.access;
    return new Promise((resolve, reject) => {
      const sent = request(new URL(path, url), {
        method,
        ca,
        timeout: TIMEOUT,
        signal: AbortSignal.timeout(TIMEOUT),
        headers: {
          authorization: `Bearer ${readFileSync(tokenFile, "utf8").trim()}`,
          accept: "application/json",
          ...(type === undefined ? {} : { "content-type": type }),
        },
      });
      sent.on("error", reject);
      sent.on("response", (answer) => {
        const chunks: Buffer[] = [];
        let size = 0;
        answer.on("error", reject);
        answer.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER)
            sent.destroy(new Error(`the answer to ${method} ${path} is over ${MAX_ANSWER} octets`));
          else chunks.push(chunk);
        });
        answer.on("end", () => {
          const status = answer.statusCode ?? 0;
          const text = Buffer.concat(chunks).toString("utf8");
          if (status < 200 || status > 299)
            reject(new ApiError(status, `${method} ${path}: ${status} ${messageOf(text)}`));
          else resolve(parsed(text));
        });
      });
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return null;
  }
}

/** What a Status object of Kubernetes says, or the text itself. */
function messageOf(text: string): string {
  const status = parsed(text);
  const message = typeof status === "object" && status !== null && "message" in status ? status.message : undefined;
  return typeof message === "string" ? message : text.slice(0, 200);
}
