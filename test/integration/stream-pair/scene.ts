import assert from "node:assert/strict";
import { ErrorCode, errorCodeName } from "../../../src/http2/errors.ts";
import { SettingId } from "../../../src/http2/settings.ts";
import { dataFrame, settingsAckFrame, windowFrame } from "../../support/frames.ts";
import type { PlainField } from "../../support/hpack-peer.ts";
import { answerHead, callHead } from "../../support/raw-call.ts";
import { fieldOf, type RawMessage, RawPeer, type RawServer } from "../../support/raw-peer.ts";
import { eventually, type Sidecar } from "../../support/with-proxy.ts";
import type { Row } from "./rows.ts";

/** Octets of one message, and of more than a shut window lets through: more, too, than is kept to be sent again. */
const [SOME, MUCH] = [10, 70_000];
/** Milliseconds: less than a call may wait for a connection, and a connection for its first SETTINGS. */
const DEADLINE = 4000;

/** Where a call is made: a sidecar, and an upstream that nobody has asked before. */
export interface Stage {
  readonly sidecar: Sidecar;
  readonly name: string;
  /** Its one endpoint. It says nothing by itself. */
  readonly server: RawServer;
}

/** One call: who makes it, who answers it, and what both have heard. */
export class Scene {
  private readonly sidecar: Sidecar;
  private readonly server: RawServer;
  private readonly caller: RawPeer;
  private readonly stream: number;
  /** The upstream's connection and stream that carry the call. */
  private upstream: RawPeer | undefined = undefined;
  private asked = 0;
  private ready = false;
  private readonly greeted = new Set<RawPeer>();
  private heardByCaller = 0;
  private readonly heardByUpstream = new Map<RawPeer, number>();
  private pings = 0;
  /** Octets that were said and heard; of a request that is made again they count from its beginning. */
  private readonly request = { said: 0, heard: 0, endedBy: "" };
  private readonly answer = { said: 0, heard: 0 };

  private constructor({ sidecar, server, name }: Stage, caller: RawPeer) {
    this.sidecar = sidecar;
    this.server = server;
    this.caller = caller;
    this.stream = caller.request(callHead(name, ["grpc-timeout", `${DEADLINE}m`]));
  }

  /** Makes a call, which waits: the connection to the upstream stands, and is not ready. */
  static async begin(stage: Stage): Promise<Scene> {
    const caller = await RawPeer.connect(stage.sidecar.outbound);
    const scene = new Scene(stage, caller);
    await stage.server.peer();
    return scene;
  }

  /** Has an event happen, and both sides hear what the table says and nothing else. */
  async play(row: Row): Promise<void> {
    const happen = this.events[row.event];
    assert.ok(happen !== undefined, `nobody knows how to do "${row.event}"`);
    const [caller, upstream]: [string[], string[]] = [[], []];
    await happen();
    await eventually(
      () => {
        caller.push(...this.listen());
        upstream.push(...this.listenUpstream());
        return caller.length >= least(row.caller) && upstream.length >= least(row.upstream);
      },
      () =>
        `the caller to hear "${row.caller.join("; ")}", not "${caller.join("; ")}", and the upstream "${row.upstream.join("; ")}", not "${upstream.join("; ")}"`,
    );
    await this.settle();
    caller.push(...this.listen());
    upstream.push(...this.listenUpstream());
    assert.deepEqual(merged(caller), row.caller, "what the caller hears");
    assert.deepEqual(
      merged(upstream).filter((word) => word !== "data" || row.upstream.includes(word)),
      row.upstream.filter((word) => word !== "data?"),
      "what the upstream hears",
    );
    if (upstream.includes("end")) assert.equal(this.request.heard, this.request.said, "octets of the request");
    if (caller.some((word) => word === "end" || word === "trailers 0"))
      assert.equal(this.answer.heard, this.answer.said, "octets of the answer");
  }

  /** Both connections end. */
  close(): void {
    this.caller.destroy();
    for (const peer of this.server.peers) peer.destroy();
  }

  private get events(): Readonly<Record<string, () => Promise<void> | void>> {
    const { caller, stream } = this;
    const up = (say: (peer: RawPeer, at: number) => void) => (): void => {
      assert.ok(this.upstream !== undefined, "the upstream has been asked");
      say(this.upstream, this.asked);
    };
    const reset = (code: number) => up((peer, at) => peer.reset(at, code));
    const headers = (fields: readonly PlainField[], end = false) => up((peer, at) => peer.headers(at, fields, end));
    return {
      "caller: data": () => this.say(SOME, false),
      "caller: end": () => this.say(0, true),
      "caller: trailers": () => {
        this.request.endedBy = "headers";
        caller.headers(stream, [["x-last", "one"]], true);
      },
      "caller: sends too much": async () => {
        up((peer) => peer.settings([[SettingId.INITIAL_WINDOW_SIZE, 0]]))();
        await this.settle();
        this.say(MUCH, true);
      },
      "caller: takes": () => caller.settings([[SettingId.INITIAL_WINDOW_SIZE, 65_535]]),
      "caller: cancel": () => caller.reset(stream, ErrorCode.CANCEL),
      "caller: breaks its stream": () => caller.write(windowFrame(stream, 0)),
      "caller: gone": async () => {
        caller.destroy();
        const { acceptor } = this.outbound;
        await eventually(
          () => acceptor.connectionCount === 0,
          () => "the caller's connection is over",
        );
      },
      "upstream: ready": () => {
        this.ready = true;
      },
      "upstream: not ready": () => void this.server.peers[0]?.socket.end(),
      "upstream: interim": headers([[":status", "103"]]),
      "upstream: head": headers(answerHead),
      "upstream: head and end": headers([...answerHead, ["grpc-status", "5"]], true),
      "upstream: not gRPC": headers([
        [":status", "503"],
        ["content-type", "text/html"],
      ]),
      "upstream: data": () => this.answerWith(SOME, false),
      "upstream: data and end": () => this.answerWith(SOME, true),
      "upstream: trailers": headers([["grpc-status", "0"]], true),
      "upstream: malformed head": headers([["x-no", "status"]]),
      "upstream: sends too much": async () => {
        caller.settings([[SettingId.INITIAL_WINDOW_SIZE, 0]]);
        await this.settle();
        this.answerWith(SOME, false);
        headers([["grpc-status", "0"]], true)();
      },
      "upstream: takes": up((peer) => peer.settings([[SettingId.INITIAL_WINDOW_SIZE, 2 * MUCH]])),
      "upstream: NO_ERROR": reset(ErrorCode.NO_ERROR),
      "upstream: CANCEL": reset(ErrorCode.CANCEL),
      "upstream: INTERNAL_ERROR": reset(ErrorCode.INTERNAL_ERROR),
      "upstream: REFUSED_STREAM": reset(ErrorCode.REFUSED_STREAM),
      "upstream: goaway below": up((peer) => peer.goaway(0)),
      "upstream: goaway above": up((peer, at) => peer.goaway(at)),
      "upstream: gone": async () => await this.withoutConnection((peer) => peer.destroy()),
      "upstream: breaks connection": async () => await this.withoutConnection((peer) => peer.write(dataFrame(0, "x"))),
      "we: deadline": () => this.sidecar.clock.jump(DEADLINE),
      "we: grace ends": () => void this.outbound.acceptor.closeAll("the drain is over"),
    };
  }

  private get outbound() {
    const found = this.sidecar.runtime.listeners.outbound.find(({ name }) => name === "outbound");
    assert.ok(found !== undefined);
    return found;
  }

  /** Ends the upstream's connection, and waits until the sidecar knows. */
  private async withoutConnection(end: (peer: RawPeer) => void): Promise<void> {
    const { upstream } = this;
    assert.ok(upstream !== undefined);
    const before = [...this.sidecar.connections()].filter(({ role }) => role === "client");
    end(upstream);
    await eventually(
      () => before.some(({ draining }) => draining),
      () => "the upstream's connection is over",
    );
  }

  private say(octets: number, end: boolean): void {
    this.request.said += octets;
    if (end) this.request.endedBy = "data";
    for (let left = octets, first = true; left > 0 || first; first = false) {
      const size = Math.min(left, 16_384);
      left -= size;
      this.caller.data(this.stream, Buffer.alloc(size, "q"), end && left === 0);
    }
  }

  private answerWith(octets: number, end: boolean): void {
    this.answer.said += octets;
    this.upstream?.data(this.asked, Buffer.alloc(octets, "a"), end);
  }

  /** A PING there and back: whoever sent before it has been heard, and has heard all that was sent to it before. */
  private async barrier(peer: RawPeer | undefined): Promise<void> {
    if (peer === undefined || peer.socket.destroyed || !peer.socket.writable) return;
    const text = `${++this.pings}`.padStart(8);
    const answered = (): boolean =>
      peer.received.some((one) => one.kind === "ping" && one.ack && one.payload.toString() === text);
    peer.ping(text);
    await eventually(
      () =>
        answered() || peer.received.at(-1)?.kind === "closed" || peer.received.some(({ kind }) => kind === "goaway"),
      () => `a PING is answered\n${peer.transcript()}`,
    );
  }

  private async settle(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      await this.barrier(this.caller);
      this.greet();
      for (const peer of this.greeted) await this.barrier(peer);
    }
  }

  /** Once connections may get ready, each new one is. */
  private greet(): void {
    if (!this.ready) return;
    for (const peer of this.server.peers) {
      if (this.greeted.has(peer)) continue;
      this.greeted.add(peer);
      peer.settings([]);
      peer.write(settingsAckFrame);
    }
  }

  private listen(): string[] {
    const fresh = this.caller.received.slice(this.heardByCaller);
    this.heardByCaller = this.caller.received.length;
    return fresh.flatMap((message) => this.wordsToCaller(message));
  }

  private wordsToCaller(message: RawMessage): string[] {
    if (message.kind === "closed") return this.caller.socket.errored === null && !this.goneByItself ? ["closed"] : [];
    if (message.stream !== this.stream) return [];
    if (message.kind === "reset") return [`reset ${errorCodeName(message.code)}`];
    if (message.kind === "data") {
      this.answer.heard += message.data.length;
      return [...(message.data.length > 0 ? ["data"] : []), ...(message.end ? ["end"] : [])];
    }
    if (message.kind !== "headers") return [];
    const { fields, end } = message;
    const [http, status, reason] = [":status", "grpc-status", "outrigger-reason"].map((name) => fieldOf(fields, name));
    if (http === "103") return ["interim"];
    if (!end) return ["head"];
    const why = reason === undefined ? "" : ` ${reason}`;
    return [`${http === undefined ? "trailers" : reason === undefined ? "answer" : "refused"} ${status}${why}`];
  }

  private get goneByItself(): boolean {
    return this.caller.received.filter(({ kind }) => kind === "goaway").length === 0;
  }

  private listenUpstream(): string[] {
    this.greet();
    return this.server.peers.flatMap((peer) => {
      const from = this.heardByUpstream.get(peer) ?? 0;
      this.heardByUpstream.set(peer, peer.received.length);
      return peer.received.slice(from).flatMap((message) => this.wordsToUpstream(peer, message));
    });
  }

  private wordsToUpstream(peer: RawPeer, message: RawMessage): string[] {
    if (message.kind === "goaway") return message.code === 0 ? [] : [`goaway ${errorCodeName(message.code)}`];
    if (message.kind === "reset") return [`reset ${errorCodeName(message.code)}`];
    if (message.kind === "data") {
      this.request.heard += message.data.length;
      return [...(message.data.length > 0 ? ["data"] : []), ...(message.end ? this.endOfRequest("data") : [])];
    }
    if (message.kind !== "headers") return [];
    if (fieldOf(message.fields, ":method") === undefined) return this.endOfRequest("headers");
    [this.upstream, this.asked] = [peer, message.stream];
    this.request.heard = 0;
    return ["asked", ...(message.end ? this.endOfRequest("data") : [])];
  }

  private endOfRequest(by: string): string[] {
    assert.equal(by, this.request.endedBy, "the request ends as its caller has ended it");
    return ["end"];
  }
}

function least(expected: readonly string[]): number {
  return expected.filter((word) => word !== "data?").length;
}

/** Words that follow themselves, as DATA does that comes in pieces, are one. */
function merged(heard: readonly string[]): string[] {
  return heard.filter((word, at) => word !== heard[at - 1]);
}
