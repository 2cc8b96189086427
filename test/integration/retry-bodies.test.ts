import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { ErrorCode } from "../../src/http2/errors.ts";
import { SettingId } from "../../src/http2/settings.ts";
import { seededRandom } from "../support/random.ts";
import { answerHead, callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, type RawMessage, type RawPeer, RawServer } from "../support/raw-peer.ts";
import { inScope } from "../support/with-proxy.ts";

const digest = (octets: Buffer): string => createHash("sha256").update(octets).digest("hex");

interface Incoming {
  readonly refuseAfter: number | undefined;
  readonly parts: Buffer[];
  octets: number;
  refused: boolean;
}

/** Refuses some attempts after some octets of their body, and answers the others with the digest of what it got. */
class CapriciousServer {
  /** Attempts that were refused. */
  refusals = 0;
  private readonly random: () => number;
  private readonly refusedCalls = new Set<string>();

  constructor(random: () => number) {
    this.random = random;
  }

  async serve(peer: RawPeer): Promise<void> {
    const streams = new Map<number, Incoming>();
    let read = 0;
    while (!peer.socket.destroyed) {
      for (const message of peer.received.slice(read)) this.take(peer, streams, message);
      read = peer.received.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  private take(peer: RawPeer, streams: Map<number, Incoming>, message: RawMessage): void {
    if (message.kind === "headers") {
      const call = fieldOf(message.fields, "x-call") ?? "";
      const refuse = !this.refusedCalls.has(call) && this.random() < 0.6;
      if (refuse) this.refusedCalls.add(call);
      const refuseAfter = refuse ? Math.floor(this.random() ** 2 * 70_000) : undefined;
      streams.set(message.stream, { refuseAfter, parts: [], octets: 0, refused: false });
      this.refuse(peer, message.stream, streams.get(message.stream), message.end);
      if (message.end) this.answer(peer, message.stream, streams.get(message.stream));
    } else if (message.kind === "data") {
      const incoming = streams.get(message.stream);
      incoming?.parts.push(message.data);
      if (incoming !== undefined) incoming.octets += message.data.length;
      this.refuse(peer, message.stream, incoming, message.end);
      if (message.end) this.answer(peer, message.stream, incoming);
    }
  }

  private refuse(peer: RawPeer, stream: number, incoming: Incoming | undefined, end: boolean): void {
    if (incoming === undefined || incoming.refused || incoming.refuseAfter === undefined) return;
    if (incoming.octets < incoming.refuseAfter && !end) return;
    incoming.refused = true;
    this.refusals++;
    if (this.random() < 0.5) {
      peer.reset(stream, ErrorCode.REFUSED_STREAM);
      return;
    }
    peer.headers(stream, [...answerHead, ["grpc-status", "14"], ["outrigger-unprocessed", "1"]], true);
    if (!end) peer.reset(stream, ErrorCode.NO_ERROR);
  }

  private answer(peer: RawPeer, stream: number, incoming: Incoming | undefined): void {
    if (incoming === undefined || incoming.refused) return;
    peer.headers(
      stream,
      [...answerHead, ["x-digest", digest(Buffer.concat(incoming.parts))], ["grpc-status", "0"]],
      true,
    );
  }
}

for (const seed of [1, 2, 3]) {
  test(`bodies reach the attempt that is answered octet by octet, and every window is whole again (seed ${seed})`, async () => {
    await inScope(async (scope) => {
      const random = seededRandom(seed);
      // A small window, so that attempts are refused with octets queued, sent and to come.
      const server = await RawServer.listen({ sidecar: true, settings: [[SettingId.INITIAL_WINDOW_SIZE, 10_000]] });
      scope.onEnd(() => server.close());
      const capricious = new CapriciousServer(random);
      void server.peer().then((peer) => capricious.serve(peer));
      const sidecar = await scope.sidecar({ upstreams: { up: { discovery: "static", endpoints: [server.address] } } });
      const caller = await connectPeer(scope, sidecar.outbound);
      let answered = 0;
      for (let round = 0; round < 12; round++) {
        const calls = Array.from({ length: 5 }, async (_, at) => {
          const body = Buffer.from(Array.from({ length: Math.floor(random() * 60_000) }, () => random() * 256));
          const stream = caller.request(callHead("up", ["x-call", `${round}-${at}`]), body.length === 0);
          for (let sent = 0; sent < body.length; ) {
            const to = Math.min(body.length, sent + 1 + Math.floor(random() * 16_384));
            caller.data(stream, body.subarray(sent, to), to === body.length);
            sent = to;
            if (random() < 0.5) await new Promise((resolve) => setImmediate(resolve));
          }
          const { head } = await caller.answer(stream, 20_000);
          assert.equal(fieldOf(head, "grpc-status"), "0", `call ${round}-${at}: ${JSON.stringify(head)}`);
          assert.equal(fieldOf(head, "x-digest"), digest(body));
          answered++;
        });
        await Promise.all(calls);
      }
      assert.equal(answered, 60);
      assert.ok(capricious.refusals > 15, `${capricious.refusals} refusals`);
      await sidecar.rest();
    });
  });
}
