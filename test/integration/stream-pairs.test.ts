import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { SettingId } from "../../src/http2/settings.ts";
import { seededRandom } from "../support/random.ts";
import { answerHead, callHead, connectPeer } from "../support/raw-call.ts";
import { type RawMessage, type RawPeer, RawServer } from "../support/raw-peer.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

/** One side's half of a stream. */
interface Half {
  /** This side has said all, or has reset. */
  sent: boolean;
  /** The other side has said all. */
  received: boolean;
  /** Either side has reset. */
  reset: boolean;
  /** A head was sent by this side. */
  head: boolean;
}

const codes = [ErrorCode.CANCEL, ErrorCode.INTERNAL_ERROR, ErrorCode.REFUSED_STREAM, ErrorCode.NO_ERROR, 0xabc];

function over(half: Half): boolean {
  return half.reset || (half.sent && half.received);
}

/** Plays one side of every stream of a connection: what a lawful peer may do next, drawn by chance. */
class Player {
  readonly peer: RawPeer;
  readonly halves = new Map<number, Half>();
  private readonly random: () => number;
  private readonly role: "client" | "server";
  private read = 0;

  constructor(peer: RawPeer, role: "client" | "server", random: () => number) {
    this.peer = peer;
    this.role = role;
    this.random = random;
  }

  begin(): void {
    const end = this.random() < 0.3;
    const stream = this.peer.request(callHead("up"), end);
    this.halves.set(stream, { sent: end, received: false, reset: false, head: true });
  }

  /** Takes note of what came. */
  listen(): void {
    for (; this.read < this.peer.received.length; this.read++) {
      const message = this.peer.received[this.read];
      if (message !== undefined) this.hear(message);
    }
  }

  /** Does one thing on one stream, or on all that are left where it is time to finish. */
  act(finish: boolean): void {
    const open = [...this.halves].filter(([, half]) => !half.sent && !half.reset);
    if (finish) {
      for (const [stream, half] of open) this.end(stream, half);
      return;
    }
    const chosen = open[Math.floor(this.random() * open.length)];
    if (chosen === undefined) return;
    const [stream, half] = chosen;
    const draw = this.random();
    if (draw < 0.12) this.reset(stream, half);
    else if (draw < 0.3) this.end(stream, half);
    else if (!half.head && draw < 0.4) this.peer.headers(stream, [[":status", "103"]]);
    else if (half.head) this.peer.data(stream, Buffer.alloc(Math.floor(this.random() ** 4 * 12_000)));
    else this.head(stream, half);
  }

  private head(stream: number, half: Half): void {
    half.head = true;
    this.peer.headers(stream, answerHead);
  }

  private end(stream: number, half: Half): void {
    half.sent = true;
    const draw = this.random();
    if (this.role === "server" && !half.head) this.peer.headers(stream, [...answerHead, ["grpc-status", "5"]], true);
    else if (draw < 0.5) this.peer.data(stream, Buffer.alloc(Math.floor(draw * 100)), true);
    else this.peer.headers(stream, [["grpc-status", "0"]], true);
    // A server that has answered before the request ended may say that it wants no more of it.
    if (this.role === "server" && !half.received && this.random() < 0.5) {
      half.reset = true;
      this.peer.reset(stream, ErrorCode.NO_ERROR);
    }
  }

  private reset(stream: number, half: Half): void {
    half.reset = true;
    this.peer.reset(stream, codes[Math.floor(this.random() * codes.length)] ?? ErrorCode.CANCEL);
  }

  private hear(message: RawMessage): void {
    if (message.kind === "headers" && this.role === "server" && !this.halves.has(message.stream))
      this.halves.set(message.stream, { sent: false, received: false, reset: false, head: false });
    const half = this.halves.get(message.stream);
    if (half === undefined) return;
    if (message.kind === "reset") half.reset = true;
    if ((message.kind === "headers" || message.kind === "data") && message.end) half.received = true;
  }
}

async function path(scope: Scope, hops: number): Promise<{ server: RawServer; sidecars: Sidecar[] }> {
  // Small windows, so that octets are queued in the sidecars when streams end.
  const server = await RawServer.listen({ settings: [[SettingId.INITIAL_WINDOW_SIZE, 5000]] });
  scope.onEnd(() => server.close());
  const sidecars: Sidecar[] = [];
  let { address } = server;
  if (hops === 2) {
    const near = await scope.sidecar({ service: { name: "up", address } });
    sidecars.push(near);
    address = near.inbound;
  }
  sidecars.push(await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints: [address] } } }));
  return { server, sidecars };
}

for (const hops of [1, 2]) {
  for (const seed of [1, 2, 3, 4]) {
    test(`whatever callers and applications do, every stream ends on both sides of ${hops} of us and nothing is left (seed ${seed})`, async () => {
      await inScope(async (scope) => {
        const random = seededRandom(seed * 10 + hops);
        const { server, sidecars } = await path(scope, hops);
        const [far] = sidecars.slice(-1);
        assert.ok(far !== undefined);
        const settings = [[SettingId.INITIAL_WINDOW_SIZE, 5000]] as const;
        const caller = new Player(await connectPeer(scope, far.outbound, { settings }), "client", random);
        const players: Player[] = [caller];
        const calls = 250;
        let begun = 0;
        const turn = async (finish: boolean): Promise<void> => {
          while (players.length <= server.peers.length) {
            const peer = server.peers[players.length - 1];
            if (peer !== undefined) players.push(new Player(peer, "server", random));
          }
          for (const player of players) {
            player.listen();
            player.act(finish);
          }
          if (random() < 0.5) await new Promise((resolve) => setImmediate(resolve));
        };
        while (begun < calls) {
          const open = [...caller.halves.values()].filter((half) => !over(half)).length;
          if (open < 12 && random() < 0.3) {
            caller.begin();
            begun++;
          }
          await turn(false);
        }
        const unfinished = () =>
          players.flatMap(({ halves }) => [...halves.values()]).filter((half) => !over(half)).length;
        await eventually(
          async () => {
            await turn(true);
            return unfinished() === 0;
          },
          () => `${unfinished()} streams have not ended`,
          10_000,
        );
        for (const sidecar of sidecars) {
          await sidecar.rest();
          const direction = sidecar === far ? "outbound" : "inbound";
          const families = await sidecar.metrics();
          const sum = (name: string): number =>
            (families.get(name)?.samples ?? [])
              .filter(({ labels }) => labels.direction === direction)
              .reduce((all, { value }) => all + value, 0);
          assert.equal(sum("outrigger_calls_handled_total"), sum("outrigger_calls_started_total"));
          assert.equal(sum("outrigger_calls_in_flight"), 0);
          assert.equal(sidecar.calls.length, sum("outrigger_calls_started_total"), "a line for each call");
          if (sidecar === far) assert.equal(sum("outrigger_calls_started_total"), calls);
        }
        // Nobody was taken for one who breaks the protocol.
        for (const player of players)
          assert.deepEqual(
            player.peer.received.filter(({ kind }) => kind === "goaway" || kind === "closed"),
            [],
          );
      });
    });
  }
}
