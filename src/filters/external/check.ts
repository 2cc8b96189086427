import { type Address, parseAddress } from "../../core/address.ts";
import type { Call } from "../../http/call.ts";
import { parseSpiffeId, type SpiffeId } from "../../identity/spiffe.ts";
import type { ServiceField } from "./service-fields.ts";

/** `AttributeContext.Peer`: one end of the caller's connection. */
export interface Peer {
  readonly address: Address | undefined;
  /** The service by Consul's form of its id; "" where it has none. */
  readonly service: string;
  /** Its SPIFFE id, as TLS has verified it; "" in plaintext. */
  readonly principal: string;
}

/** `AttributeContext.Request`: what is asked for. */
export interface AskedRequest {
  /** When the call came, in milliseconds since the Unix epoch. */
  readonly time: number;
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  /** The fields by name, pseudo-header fields among them; several of one name with a comma between them. */
  readonly headers: ReadonlyMap<string, string>;
  /** From content-length; -1 where it is not known. */
  readonly size: number;
  readonly protocol: "HTTP/2" | "HTTP/1.1";
}

/** `CheckRequest`: what a service is told of a call. */
export interface CheckQuestion {
  readonly source: Peer;
  readonly destination: Peer;
  /** Undefined of a connection of TCP, of which nothing is known but its two ends. */
  readonly request: AskedRequest | undefined;
  /** `context_extensions` */
  readonly context: ReadonlyMap<string, string>;
  /** The name that the caller's TLS asked for. */
  readonly sni: string | undefined;
}

/** What is read of a `CheckResponse`. Dynamic metadata is not: there is nothing here that would read it. */
export interface CheckAnswer {
  /** A gRPC status: OK lets the call in. */
  readonly code: number;
  readonly why: string;
  /** What its caller is to get where it is not let in; `status` of HTTP, 0 where none is said. */
  readonly denied:
    | { readonly status: number; readonly body: string; readonly fields: readonly ServiceField[] }
    | undefined;
  /** What is changed of the call where it is. */
  readonly fields: readonly ServiceField[];
  readonly removed: readonly string[];
  /** What is changed of its answer. */
  readonly answerFields: readonly ServiceField[];
}

/** What a call does not say of itself. */
export interface Surroundings {
  /** Who this sidecar is; undefined while it has no certificate. */
  readonly own: SpiffeId | undefined;
  /** How a call is called in logs and explanations. */
  readonly id: string;
  /** When it came, in milliseconds since the Unix epoch. */
  readonly time: number;
  readonly context: ReadonlyMap<string, string>;
  /** Whether a field of the call is shown. */
  readonly shown: (name: string) => boolean;
}

/** What the service is asked about a call: its head, and who makes it. */
export function questionOf(call: Call, around: Surroundings): CheckQuestion {
  const { identity, upstream } = call;
  return {
    source: { address: addressOf(call.peer), service: serviceOf(identity), principal: identity ?? "" },
    destination: { address: call.destination ?? call.local, service: upstream, principal: around.own?.text ?? "" },
    request: call.protocol === "tcp" ? undefined : requestOf(call, around),
    context: around.context,
    sni: call.serverName,
  };
}

function requestOf({ head, path, protocol }: Call, { id, time, shown }: Surroundings): AskedRequest {
  const headers = new Map<string, string>();
  for (const [name, octets] of head.entries()) {
    if (!name.startsWith(":") && !shown(name)) continue;
    const value = readable(octets);
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before}${name === "cookie" ? "; " : ","}${value}`);
  }
  const length = head.get("content-length") ?? "";
  return {
    time,
    id,
    method: head.get(":method") ?? "",
    path: readable(path),
    host: head.get(":authority") ?? head.get("host") ?? "",
    scheme: head.get(":scheme") ?? "",
    headers,
    size: /^[0-9]{1,15}$/.test(length) ? Number(length) : -1,
    protocol: protocol === "http1" ? "HTTP/1.1" : "HTTP/2",
  };
}

function addressOf(peer: string): Address | undefined {
  const address = parseAddress(peer);
  return typeof address === "string" ? undefined : address;
}

function serviceOf(identity: string | undefined): string {
  const id = identity === undefined ? undefined : parseSpiffeId(identity);
  return (typeof id === "object" ? id.consul?.service : undefined) ?? "";
}

/** The octets of a value as text. What is no UTF-8 cannot stand in the message and becomes `!`, as with Envoy. */
function readable(octets: string): string {
  if (!/[\x80-\xff]/.test(octets)) return octets;
  return Buffer.from(octets, "latin1").toString("utf8").replaceAll("\ufffd", "!");
}
