import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Endpoint } from "../../cluster/endpoint.ts";
import type { SecurePeer } from "../../cluster/pool/connect.ts";
import { UnsentError } from "../../cluster/pool/http1-agent.ts";
import type { SocketLease } from "../../cluster/pool/socket-pool.ts";
import { type Failure, failure } from "../../http/call.ts";
import type { Head } from "../../http/headers.ts";
import { pairs } from "../../http/http1-head.ts";
import { type Reason, reasons } from "../../http/reason.ts";
import { EXPLAIN } from "../explain-trailer.ts";
import { lostConnection } from "../lost.ts";
import type { Proof } from "../proof.ts";
import type { SaidFields } from "../retry/pushback.ts";

// What two sidecars say to each other in HTTP/1.1, and what is known of the one that was asked.

/** How this process calls itself in `via`, by which a request that comes back to it is known. */
const PSEUDONYM = `outrigger-${randomBytes(6).toString("hex")}`;
/**
 * Times that a request may come through this process. More than once is no circle yet: one application calls another, which passes
 * the request on to a third by way of the first.
 */
const MAX_PASSES = 8;

/** The field that says that a request came this way, over which version of HTTP. */
export function viaField(version: string): [string, string] {
  return ["via", `${version} ${PSEUDONYM}`];
}

/** What a request comes to that has come through this process too often; undefined while it has not. */
export function circle(head: Head): Failure | undefined {
  let passes = 0;
  for (const [name, value] of head.entries()) if (name === "via") passes += value.split(PSEUDONYM).length - 1;
  if (passes <= MAX_PASSES) return undefined;
  return failure("LOOP", `the request has come through this sidecar ${MAX_PASSES} times`);
}

/** TLS has shown that it is one, or discovery says so. */
export function isSidecar({ meta }: Endpoint, peer: SecurePeer | undefined): boolean {
  return peer?.isSidecar === true || meta.outrigger !== undefined;
}

/** Why the sidecar that was called made the answer itself; undefined where it did not. */
export function reasonOf({ headers }: IncomingMessage): Reason | undefined {
  const text = headers["outrigger-reason"];
  return typeof text === "string" && Object.hasOwn(reasons, text) ? (text as Reason) : undefined;
}

/** The fields of an answer, one by one. */
export function saidOf({ headers }: IncomingMessage): SaidFields {
  return {
    get(name) {
      const value = headers[name];
      return typeof value === "string" ? value : undefined;
    },
  };
}

/** How the sidecar that was called says it decided. */
export function explanationOf({ headers }: IncomingMessage): string | undefined {
  const text = headers[EXPLAIN];
  return typeof text === "string" ? text : undefined;
}

/** Fields of a sidecar's refusal that are for whoever asked. */
const OF_REFUSALS: ReadonlySet<string> = new Set([
  "retry-after",
  "x-ratelimit-limit",
  "x-ratelimit-remaining",
  "x-ratelimit-reset",
]);

/** The answer of a sidecar that says that its application has not seen the request: it is not passed on. */
export class NotPassedOn extends Error {
  readonly reason: Reason;
  /** What the caller is told of it, should nobody else answer: when to come again. */
  readonly fields: NonNullable<Failure["fields"]>;

  constructor(reason: Reason, answer?: IncomingMessage) {
    super(reason);
    this.reason = reason;
    this.fields = pairs(answer?.rawHeaders ?? []).filter(([name]) => OF_REFUSALS.has(name));
  }
}

/** What a request was whose answer did not come. */
export interface Unanswered {
  readonly hasBody: boolean;
  /** A kept connection that ends as it leaves may have it made again (RFC 9112 §9.3.1). */
  readonly isRepeatable: boolean;
}

/** What it means that there is no answer, and how it is known that the application has not seen the request, where it is. */
export function lossOf(
  error: unknown,
  endpoint: Endpoint,
  lease: SocketLease,
  { hasBody, isRepeatable }: Unanswered,
): { readonly what: Failure; readonly proof: Proof | undefined } {
  const why = error instanceof Error ? error.message : String(error);
  const facts: object = typeof error === "object" && error !== null ? error : {};
  const code = "code" in facts && typeof facts.code === "string" ? facts.code : "";
  if (error instanceof NotPassedOn) {
    const detail = `the sidecar of ${endpoint.label} refused the request`;
    return { what: failure(error.reason, detail, { unprocessed: true, fields: error.fields }), proof: "sidecar" };
  }
  if (error instanceof UnsentError) return { what: lostConnection(endpoint, why), proof: "unsent" };
  if (lease.kind === "fresh" && lease.peer !== undefined && code.startsWith("ERR_SSL")) {
    const { reason, message } = lease.peer.explain(why);
    return { what: failure(reason, message, { unprocessed: true }), proof: hasBody ? undefined : "sidecar" };
  }
  if (code.startsWith("HPE_"))
    return { what: failure("PROTOCOL", `${endpoint.label} broke the protocol: ${why}`), proof: undefined };
  return { what: lostConnection(endpoint, why), proof: lease.kind === "idle" && isRepeatable ? "kept" : undefined };
}
