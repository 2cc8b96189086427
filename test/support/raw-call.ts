import type { PlainField } from "./hpack-peer.ts";
import { RawPeer, type RawPeerOptions, RawServer } from "./raw-peer.ts";
import type { Scope, Sidecar, SidecarConfig } from "./with-proxy.ts";

/** The head of a gRPC call as plain clients send it, with further metadata. */
export function callHead(authority: string, ...metadata: PlainField[]): PlainField[] {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/test.v1.Test/Call"],
    [":authority", authority],
    ["te", "trailers"],
    ["content-type", "application/grpc"],
    ...metadata,
  ];
}

/** The head of an answer that goes on with messages. */
export const answerHead: readonly PlainField[] = [
  [":status", "200"],
  ["content-type", "application/grpc"],
];

/** A gRPC message in its envelope. */
export function message(octets: Uint8Array | string): Buffer {
  const body = Buffer.from(octets);
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(body.length, 1);
  return Buffer.concat([envelope, body]);
}

/** A scripted caller, a sidecar, and a scripted upstream `up` behind it. */
export interface OneHop {
  readonly caller: RawPeer;
  readonly sidecar: Sidecar;
  readonly server: RawServer;
}

export interface OneHopOptions {
  readonly caller?: RawPeerOptions;
  readonly upstream?: RawPeerOptions;
  /** More of the sidecar's configuration. */
  readonly more?: Partial<SidecarConfig>;
  /** More of the upstream's configuration. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** A caller whose calls leave by the outbound listener for the scripted upstream `up`. */
export async function outboundHop(scope: Scope, options: OneHopOptions = {}): Promise<OneHop> {
  const server = await RawServer.listen(options.upstream);
  scope.onEnd(() => server.close());
  const sidecar = await scope.sidecar({
    identity: { name: "caller" },
    ...options.more,
    upstreams: { up: { discovery: "static", endpoints: [server.address], ...options.settings } },
  });
  return { caller: await connectPeer(scope, sidecar.outbound, options.caller), sidecar, server };
}

/** A stranger whose calls come in by the inbound listener for the scripted application. */
export async function inboundHop(scope: Scope, options: OneHopOptions = {}): Promise<OneHop> {
  const server = await RawServer.listen(options.upstream);
  scope.onEnd(() => server.close());
  const sidecar = await scope.sidecar(inboundConfig(server.address, options.more));
  return { caller: await connectPeer(scope, sidecar.inbound, options.caller), sidecar, server };
}

/** The sidecar beside an application called `up`. */
export function inboundConfig(application: string, more: Partial<SidecarConfig> = {}): SidecarConfig {
  return { service: { name: "up", address: application }, ...more };
}

/** A scripted client that goes before what it is connected to. */
export async function connectPeer(scope: Scope, address: string, options: RawPeerOptions = {}): Promise<RawPeer> {
  const peer = await RawPeer.connect(address, options);
  scope.onEnd(() => void peer.socket.destroy());
  return peer;
}
