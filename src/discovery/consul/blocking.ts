import type { IncomingHttpHeaders } from "node:http";
import type { ConsulClient } from "./client.ts";
import { ConsulError } from "./error.ts";

/** A query that Consul answers once something has changed. */
export interface BlockingQuery {
  /** 0: answer at once. Otherwise: when there is another index, or after a while. */
  readonly index: bigint;
  readonly signal: AbortSignal;
}

/** What Consul answered, and the index that the next query is to name. */
export interface BlockingAnswer {
  /** At least 1, for 0 would make the next query answer at once for ever. */
  readonly index: bigint;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

/** Milliseconds of a blocking query, and how much later its answer may come. A new key and a signature take their time. */
const WAIT = 60_000;
const MARGIN = 10_000;

/** Asks an agent for something that changes seldom. Rejects with a ConsulError and nothing else. */
export async function askBlocking(
  client: ConsulClient,
  what: {
    readonly path: string;
    readonly params: Readonly<Record<string, string>>;
    readonly query?: Readonly<Record<string, string>>;
  },
  { index, signal }: BlockingQuery,
): Promise<BlockingAnswer> {
  const { path, params, query } = what;
  const blocks = index !== 0n;
  const { headers, text } = await client
    .get(path, params, {
      query: { ...query, ...(blocks ? { index: `${index}`, wait: `${WAIT}ms` } : {}) },
      timeout: MARGIN + (blocks ? WAIT + WAIT / 16 : 0),
      signal,
    })
    .catch((error: unknown) => {
      if (!(error instanceof ConsulError && error.isRenewal)) throw error;
      return client.get(path, params, { query: { ...query }, timeout: MARGIN, signal });
    });
  const said = headers["x-consul-index"];
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new ConsulError(`consul at ${client.host} sent no JSON for ${path}`);
  }
  return { index: typeof said === "string" && /^\d{1,20}$/.test(said) ? BigInt(said) || 1n : 1n, headers, body };
}
