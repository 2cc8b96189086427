import type { PlainField } from "./hpack-peer.ts";
import { answerHead, message } from "./raw-call.ts";
import { fieldOf, type RawMessage, type RawPeer, type RawPeerOptions, RawServer } from "./raw-peer.ts";
import type { Scope } from "./with-proxy.ts";

/** What a scripted server does with a request. */
export type Act = (peer: RawPeer, stream: number) => void;

export type Request = Extract<RawMessage, { readonly kind: "headers" }>;

/** Answers with a status alone. */
export function trailersOnly(status: number, ...more: PlainField[]): Act {
  return (peer, stream) => peer.headers(stream, [...answerHead, ["grpc-status", String(status)], ...more], true);
}

/** Answers with a head, messages, and a status in trailers. */
export function inTrailers(status: number, messages: readonly string[] = [], ...more: PlainField[]): Act {
  return (peer, stream) => {
    peer.headers(stream, answerHead);
    for (const text of messages) peer.data(stream, message(text));
    peer.headers(stream, [["grpc-status", String(status)], ...more], true);
  };
}

/** Says nothing at all. */
export const silence: Act = () => {};

/** A server that does with each request what stands next in its script; the last one over and over. */
export class ScriptedServer {
  readonly address: string;
  readonly requests: Request[] = [];
  /** Stream resets that came, in order: their codes. */
  readonly resets: number[] = [];
  private readonly server: RawServer;
  private readonly script: readonly Act[];
  private over = false;

  private constructor(server: RawServer, script: readonly Act[]) {
    this.address = server.address;
    this.server = server;
    this.script = script;
    void this.follow(server);
  }

  static start(scope: Scope, ...script: readonly Act[]): Promise<ScriptedServer> {
    return ScriptedServer.startWith(scope, {}, ...script);
  }

  static async startWith(scope: Scope, options: RawPeerOptions, ...script: readonly Act[]): Promise<ScriptedServer> {
    const server = await RawServer.listen(options);
    const scripted = new ScriptedServer(server, script);
    scope.onEnd(async () => {
      scripted.over = true;
      await server.close();
    });
    return scripted;
  }

  /** Connections that it has taken so far. */
  get accepted(): number {
    return this.server.peers.length;
  }

  /** What each request said of the attempts before it. */
  get previous(): (string | undefined)[] {
    return this.requests.map(({ fields }) => fieldOf(fields, "grpc-previous-rpc-attempts"));
  }

  private async follow(server: RawServer): Promise<void> {
    const seen = new Set<RawMessage>();
    while (!this.over) {
      for (const peer of server.peers) {
        for (const heard of peer.received) {
          if (seen.has(heard)) continue;
          if (heard.kind === "reset") this.resets.push(heard.code);
          seen.add(heard);
          if (heard.kind !== "headers") continue;
          const act = this.script[Math.min(this.requests.length, this.script.length - 1)];
          this.requests.push(heard);
          act?.(peer, heard.stream);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
