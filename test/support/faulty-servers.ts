import { ErrorCode } from "../../src/http2/errors.ts";
import { fieldOf, type RawPeer } from "./raw-peer.ts";
import { type Act, inTrailers, ScriptedServer, silence, trailersOnly } from "./scripted-server.ts";
import type { Scope } from "./with-proxy.ts";

const reset =
  (code: ErrorCode): Act =>
  (peer, stream) =>
    peer.reset(stream, code);

/** What befalls a request that runs, each as often as it stands here. */
const RUNS: readonly Act[] = [
  inTrailers(0, ["yes"]),
  inTrailers(0, ["yes"]),
  trailersOnly(14),
  inTrailers(14),
  inTrailers(14, ["part"]),
  inTrailers(0),
  trailersOnly(5),
  trailersOnly(14, ["grpc-retry-pushback-ms", "-1"]),
  trailersOnly(14, ["grpc-retry-pushback-ms", "5"]),
  reset(ErrorCode.INTERNAL_ERROR),
  reset(ErrorCode.CANCEL),
  silence,
  (peer, stream) => setTimeout(() => inTrailers(0, ["late"])(peer, stream), 30),
  (peer) => peer.destroy(),
];

/** Servers of one service that do anything to a request, at random, and know how often each call has run: by its `x-call`. */
export class FaultyServers {
  readonly ran = new Map<string, number>();
  /** From now on they answer every request, and at once. */
  healed = false;
  private readonly random: () => number;
  private readonly leaving = new Set<RawPeer>();
  private readonly highest = new Map<RawPeer, number>();

  /** `random`: uniform in [0, 1). */
  constructor(random: () => number) {
    this.random = random;
  }

  /** Starts one more; its address. */
  async start(scope: Scope): Promise<string> {
    const server = await ScriptedServer.start(scope, (peer, stream) => this.act(peer, stream));
    return server.address;
  }

  private act(peer: RawPeer, stream: number): void {
    const { random, leaving, highest, ran } = this;
    const request = peer.received.find((heard) => heard.kind === "headers" && heard.stream === stream);
    const id = request?.kind === "headers" ? (fieldOf(request.fields, "x-call") ?? "") : "";
    // What came after a GOAWAY is not looked at, as it says.
    if (leaving.has(peer)) return;
    if (this.healed) {
      ran.set(id, (ran.get(id) ?? 0) + 1);
      // HealthCheckResponse: status SERVING. Others do not mind what they read.
      inTrailers(0, ["\u0008\u0001"])(peer, stream);
      return;
    }
    if (random() < 0.1) {
      // A GOAWAY says it of every stream above its last one, so that must be the highest that has run.
      const last = highest.get(peer) ?? 0;
      if (stream > last && random() < 0.5) {
        leaving.add(peer);
        peer.goaway(last);
      } else peer.reset(stream, ErrorCode.REFUSED_STREAM);
      return;
    }
    highest.set(peer, Math.max(highest.get(peer) ?? 0, stream));
    ran.set(id, (ran.get(id) ?? 0) + 1);
    RUNS[Math.floor(random() * RUNS.length)]?.(peer, stream);
  }
}
