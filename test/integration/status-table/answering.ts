import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode } from "../../../src/http2/errors.ts";
import { Flag, FrameType } from "../../../src/http2/frame.ts";
import type { PlainField } from "../../support/hpack-peer.ts";
import { callHead, inboundHop, type OneHop, outboundHop } from "../../support/raw-call.ts";
import { frame } from "../../support/raw-frames.ts";
import type { RawPeer } from "../../support/raw-peer.ts";
import type { Refusal } from "../../support/refusal.ts";
import { eventually, type Scope } from "../../support/with-proxy.ts";
import type { StatusCase } from "./case.ts";

const out = { direction: "outbound", upstream: "up" } as const;
const stranger = { direction: "inbound", upstream: "up" } as const;

/** Makes a call through one sidecar to an upstream that does something else than answer. */
function upstreamThat(
  misbehave: (peer: RawPeer, stream: number) => void,
  make: (scope: Scope) => Promise<OneHop> = (scope) => outboundHop(scope),
): StatusCase["provoke"] {
  return async (scope) => {
    const { caller, server, sidecar } = await make(scope);
    const stream = caller.request(callHead("up"), true);
    const upstream = await server.peer();
    const request = await upstream.nextRequest();
    misbehave(upstream, request.stream);
    return { sidecar, answer: await caller.answer(stream) };
  };
}

/** The same for each attempt. */
function everyUpstreamThat(misbehave: (peer: RawPeer, stream: number) => void): StatusCase["provoke"] {
  return async (scope) => {
    const { caller, server, sidecar } = await outboundHop(scope);
    const stream = caller.request(callHead("up"), true);
    let answered = false;
    const answering = caller.answer(stream).finally(() => {
      answered = true;
    });
    const seen = new Set<string>();
    await eventually(
      () => {
        for (const [at, peer] of server.peers.entries())
          for (const message of peer.received) {
            const key = `${at} ${message.stream}`;
            if (message.kind !== "headers" || seen.has(key)) continue;
            seen.add(key);
            misbehave(peer, message.stream);
          }
        return answered;
      },
      () => "an answer",
    );
    return { sidecar, answer: await answering };
  };
}

/** gRPC's table of error codes, PROTOCOL-HTTP2 "Errors". */
const resets: readonly (readonly [name: keyof typeof ErrorCode, status: number])[] = [
  ["NO_ERROR", 13],
  ["PROTOCOL_ERROR", 13],
  ["INTERNAL_ERROR", 13],
  ["FLOW_CONTROL_ERROR", 13],
  ["SETTINGS_TIMEOUT", 13],
  ["STREAM_CLOSED", 13],
  ["FRAME_SIZE_ERROR", 13],
  ["CANCEL", 1],
  ["COMPRESSION_ERROR", 13],
  ["CONNECT_ERROR", 13],
  ["ENHANCE_YOUR_CALM", 8],
  ["INADEQUATE_SECURITY", 7],
  ["HTTP_1_1_REQUIRED", 13],
];

/** gRPC's http-grpc-status-mapping. */
const httpStatuses: readonly (readonly [http: string, status: number])[] = [
  ["200", 2],
  ["204", 2],
  ["302", 2],
  ["400", 13],
  ["401", 16],
  ["403", 7],
  ["404", 12],
  ["418", 2],
  ["429", 14],
  ["500", 2],
  ["502", 14],
  ["503", 14],
  ["504", 14],
];

function notGrpc(http: string, status: number, base: typeof out | typeof stranger): StatusCase {
  const expected: Refusal = {
    ...base,
    status,
    reason: "NOT_GRPC",
    message: base === out ? `the answer was HTTP ${http} with text/html` : "the answer was not gRPC",
    detail: new RegExp(`^the answer was HTTP ${http} with text/html$`),
  };
  const misbehave = (peer: RawPeer, stream: number): void => {
    peer.headers(stream, [
      [":status", http],
      ["content-type", "text/html"],
    ]);
    peer.data(stream, Buffer.from("<html>"), true);
  };
  const make = base === out ? outboundHop : inboundHop;
  return { title: `HTTP ${http}`, expected, provoke: upstreamThat(misbehave, (scope) => make(scope)) };
}

/** Field lines of one octet over our limit after RFC 9113 §6.5.2, were they all. */
const huge: PlainField[] = Array.from({ length: 8 }, (_, at) => [`x-${at}`, "v".repeat(8192)]);

/** Calls that reach an upstream which then does not answer them. */
export const answering: readonly StatusCase[] = [
  {
    title: "every attempt is refused with REFUSED_STREAM",
    expected: { ...out, status: 14, reason: "REFUSED", message: "the stream was refused before it was processed" },
    provoke: everyUpstreamThat((peer, stream) => peer.reset(stream, ErrorCode.REFUSED_STREAM)),
  },
  {
    title: "every connection goes away with a GOAWAY below the call's stream",
    expected: {
      ...out,
      status: 14,
      reason: "GOAWAY_UNPROCESSED",
      message: "the connection went away before the call was processed",
    },
    provoke: everyUpstreamThat((peer) => {
      peer.goaway(0);
      peer.end();
    }),
  },
  {
    title: "the connection breaks after the head was sent",
    expected: {
      ...out,
      status: 14,
      reason: "UPSTREAM_LOST",
      message: /^the connection to 127\.0\.0\.1:\d+ was lost during the call: /,
    },
    provoke: upstreamThat((peer) => peer.destroy()),
  },
  {
    title: "the application closes its connection, to a stranger",
    expected: {
      ...stranger,
      status: 14,
      reason: "UPSTREAM_LOST",
      message: "the connection was lost during the call",
      detail: /127\.0\.0\.1:\d+/,
    },
    provoke: upstreamThat((peer) => peer.end(), inboundHop),
  },
  ...resets.map(
    ([name, status]): StatusCase => ({
      title: `the upstream resets with ${name}`,
      expected: {
        ...out,
        status,
        reason: "RST_STREAM",
        message: "the stream was reset",
        detail: new RegExp(`^${name}$`),
      },
      provoke: upstreamThat((peer, stream) => peer.reset(stream, ErrorCode[name])),
    }),
  ),
  {
    title: "the upstream resets with a code that nobody knows",
    expected: { ...out, status: 13, reason: "RST_STREAM", message: "the stream was reset", detail: /^0xabcdef$/ },
    provoke: upstreamThat((peer, stream) => peer.reset(stream, 0xabcdef)),
  },
  {
    title: "the caller's deadline passes while the upstream sleeps",
    expected: { ...out, status: 4, reason: "DEADLINE_CLIENT", message: "the caller's deadline of 60ms has passed" },
    provoke: async (scope) => {
      const { caller, sidecar } = await outboundHop(scope);
      return { sidecar, answer: await caller.answer(caller.request(callHead("up", ["grpc-timeout", "60m"]), true)) };
    },
  },
  {
    title: "the caller's deadline passes while the application sleeps, to a stranger",
    expected: { ...stranger, status: 4, reason: "DEADLINE_CLIENT", message: "the caller's deadline has passed" },
    provoke: async (scope) => {
      const { caller, sidecar } = await inboundHop(scope);
      return { sidecar, answer: await caller.answer(caller.request(callHead("up", ["grpc-timeout", "60m"]), true)) };
    },
  },
  {
    title: "the upstream's configured timeout passes",
    expected: {
      ...out,
      status: 4,
      reason: "DEADLINE_POLICY",
      message: "the timeout of 60ms configured for up has passed",
    },
    provoke: async (scope) => {
      const { caller, sidecar } = await outboundHop(scope, { settings: { timeout: "60ms" } });
      return { sidecar, answer: await caller.answer(caller.request(callHead("up", ["grpc-timeout", "10S"]), true)) };
    },
  },
  ...httpStatuses.map(([http, status]) => notGrpc(http, status, out)),
  notGrpc("503", 14, stranger),
  {
    title: "an answer without :status",
    expected: {
      ...out,
      status: 13,
      reason: "PROTOCOL",
      message: /^127\.0\.0\.1:\d+ broke the protocol: a response without :status$/,
    },
    provoke: upstreamThat((peer, stream) => peer.headers(stream, [["content-type", "application/grpc"]], true)),
  },
  {
    title: "an answer with a forbidden field, to a stranger",
    expected: {
      ...stranger,
      status: 13,
      reason: "PROTOCOL",
      message: "the answer broke the protocol",
      detail: /^127\.0\.0\.1:\d+ broke the protocol: the connection-specific field connection$/,
    },
    provoke: upstreamThat(
      (peer, stream) =>
        peer.headers(stream, [
          [":status", "200"],
          ["content-type", "application/grpc"],
          ["connection", "close"],
        ]),
      inboundHop,
    ),
  },
  {
    title: "DATA before the head",
    expected: { ...out, status: 13, reason: "PROTOCOL", message: /broke the protocol: DATA before the head$/ },
    provoke: upstreamThat((peer, stream) => peer.data(stream, Buffer.from("x"))),
  },
  {
    title: "a header block that cannot be decoded, which breaks the whole connection",
    expected: { ...out, status: 13, reason: "PROTOCOL", message: /^127\.0\.0\.1:\d+ broke the protocol: / },
    provoke: upstreamThat((peer, stream) =>
      peer.write(frame(FrameType.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream, Buffer.from([0xff, 0xff, 0x7f]))),
    ),
  },
  {
    title: "the answer's head",
    expected: {
      ...out,
      status: 8,
      reason: "HEADERS_TOO_LARGE",
      message: /^the answer has a header list over 65536 octets or 1000 fields$/,
    },
    provoke: upstreamThat((peer, stream) =>
      peer.headers(stream, [[":status", "200"], ["content-type", "application/grpc"], ...huge]),
    ),
  },
  {
    title: "the request's head",
    expected: {
      direction: "outbound",
      upstream: "",
      status: 8,
      reason: "HEADERS_TOO_LARGE",
      message: "the request has a header list over 65536 octets or 1000 fields",
    },
    provoke: async (scope) => {
      const { caller, sidecar } = await outboundHop(scope);
      return { sidecar, answer: await caller.answer(caller.request(callHead("up", ...huge), true)) };
    },
  },
  {
    title: "the request's head, to a stranger",
    expected: {
      direction: "inbound",
      upstream: "",
      status: 8,
      reason: "HEADERS_TOO_LARGE",
      message: "the header list is too large",
      unprocessed: true,
    },
    provoke: async (scope) => {
      const { caller, sidecar } = await inboundHop(scope);
      return { sidecar, answer: await caller.answer(caller.request(callHead("up", ...huge), true)) };
    },
  },
  {
    title: "a late stream of another sidecar",
    expected: {
      ...stranger,
      upstream: "",
      status: 14,
      reason: "DRAINING",
      message: "the sidecar is shutting down",
      unprocessed: true,
    },
    provoke: async (scope) => {
      const { caller, sidecar } = await goodbye(await inboundHop(scope, { caller: { sidecar: true } }));
      return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
    },
  },
  {
    title: "a late stream of a stranger is reset with REFUSED_STREAM",
    expected: { ...stranger, upstream: "", status: 14, reason: "DRAINING", message: "", detail: /./ },
    provoke: async (scope) => {
      const { caller, sidecar } = await goodbye(await inboundHop(scope));
      const stream = caller.request(callHead("up"), true);
      const { code } = await caller.next("reset", stream);
      if (code !== ErrorCode.REFUSED_STREAM) throw new Error(`reset with ${code}`);
      return { sidecar, answer: undefined };
    },
  },
  {
    title: "a call that has not ended when grace ends",
    expected: {
      ...out,
      status: 14,
      reason: "DRAINING",
      message: "the sidecar shut down before the call had ended",
    },
    provoke: async (scope) => {
      const { caller, server, sidecar } = await outboundHop(scope);
      const stream = caller.request(callHead("up"), true);
      await (await server.peer()).nextRequest();
      const drained = sidecar.runtime.drain();
      await sleep(10);
      sidecar.clock.jump(60_000);
      const answer = await caller.answer(stream);
      if ((await drained) !== 1) throw new Error("one stream is cut");
      return { sidecar, answer };
    },
  },
];

/** Has the sidecar say GOAWAY to its caller, twice; a call that is under way keeps the connection up. */
async function goodbye(hop: OneHop): Promise<OneHop> {
  const { caller, server, sidecar } = hop;
  caller.request(callHead("up"), true);
  await (await server.peer()).nextRequest();
  sidecar.runtime.listeners.inbound?.acceptor.shutdown("draining");
  for (const last of [2 ** 31 - 1, 1]) {
    const goaway = await caller.next("goaway");
    if (goaway.last !== last) throw new Error(`a GOAWAY with ${goaway.last}, not ${last}`);
  }
  return hop;
}
