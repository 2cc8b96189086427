import assert from "node:assert/strict";
import { test } from "node:test";
import type { PlainField } from "../support/hpack-peer.ts";
import { seededRandom } from "../support/random.ts";
import {
  answerHead,
  callHead,
  connectPeer,
  inboundHop,
  message,
  type OneHop,
  outboundHop,
} from "../support/raw-call.ts";
import { pairsOf, RawServer } from "../support/raw-peer.ts";
import { inScope, type Scope } from "../support/with-proxy.ts";

/** Sends metadata there and back, and gives what the upstream and the caller got of it, with how it stood on the wire. */
async function roundTrip(hop: OneHop, request: PlainField[], head: PlainField[], trailers: PlainField[]) {
  const { caller, server } = hop;
  const stream = caller.request(callHead("up", ...request));
  caller.data(stream, message("hello"), true);
  const upstream = server.peers[0] ?? (await server.peer());
  const got = await upstream.nextRequest();
  upstream.headers(got.stream, [...answerHead, ...head]);
  upstream.data(got.stream, message("world"));
  upstream.headers(got.stream, [["grpc-status", "0"], ...trailers], true);
  const answer = await caller.answer(stream);
  return { request: got.fields, head: answer.head, trailers: answer.trailers ?? [] };
}

const hops: [name: string, make: (scope: Scope) => Promise<OneHop>][] = [
  ["outbound", (scope) => outboundHop(scope)],
  ["inbound", (scope) => inboundHop(scope)],
];

const curious: PlainField[] = [
  ["b", "1"],
  ["a", "1"],
  ["b", "2"],
  ["b", "1"],
  ["x-empty", ""],
  ["x-inner-space", "a  b\tc"],
  ["x-printable", Array.from({ length: 94 }, (_, at) => String.fromCharCode(33 + at)).join("")],
  ["x-latin1", "\u00e4\u00ff\u0080"],
  ["!#$%&'*+-.^_`|~0z", "odd name"],
  ["data-bin", "AAECAwQ"],
  ["data-bin", "//79/A=="],
  ["data-bin", "AAECAwQ,//79/A=="],
  ["grpc-accept-encoding", "identity,deflate,gzip"],
  ["grpc-encoding", "identity"],
  ["user-agent", "grpc-node-js/1.0"],
  // The address of the peer, which is all that is believed of one who has not proven who it is.
  ["x-forwarded-for", "127.0.0.1"],
  ["grpc-previous-rpc-attempts", "1"],
  ["x-long", "v".repeat(9000)],
  ["x-request-id", "0123"],
  ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
];

for (const [name, make] of hops) {
  test(`metadata passes ${name} octet by octet, in its order and with its duplicates`, async () => {
    await inScope(async (scope) => {
      const hop = await make(scope);
      for (let round = 0; round < 3; round++) {
        const seen = await roundTrip(hop, curious, curious, curious);
        assert.deepEqual(pairsOf(seen.request), callHead("up", ...curious));
        assert.deepEqual(pairsOf(seen.head), [...answerHead, ...curious]);
        assert.deepEqual(pairsOf(seen.trailers), [["grpc-status", "0"], ...curious]);
      }
    });
  });

  test(`200 pairs of metadata pass ${name}, where Node's own HTTP/2 stops at 128`, async () => {
    await inScope(async (scope) => {
      const many = Array.from({ length: 200 }, (_, at): PlainField => [`x-${at % 150}`, `value ${at}`]);
      const seen = await roundTrip(await make(scope), many, many, many);
      assert.deepEqual(pairsOf(seen.request), callHead("up", ...many));
      assert.deepEqual(pairsOf(seen.head), [...answerHead, ...many]);
      assert.deepEqual(pairsOf(seen.trailers), [["grpc-status", "0"], ...many]);
    });
  });

  test(`what came never indexed leaves ${name} never indexed, and so does what is secret by its name`, async () => {
    await inScope(async (scope) => {
      const hop = await make(scope);
      const secrets: PlainField[] = [
        ["x-token", "s3cret", true],
        ["x-token", "", true],
        ["x-plain", "open"],
        ["authorization", "Bearer abc"],
        ["cookie", "a=b"],
      ];
      const expected = { "x-token": "never", authorization: "never", cookie: "never" };
      for (let round = 0; round < 3; round++) {
        const seen = await roundTrip(hop, secrets, secrets, secrets);
        for (const fields of [seen.request, seen.head, seen.trailers]) {
          const forms = fields.filter((field) => Object.hasOwn(expected, field.name)).map(({ form }) => form);
          assert.deepEqual(forms, ["never", "never", "never", "never"]);
          const open = fields.find((field) => field.name === "x-plain");
          assert.notEqual(open?.form, "never");
        }
      }
    });
  });
}

test("random metadata passes two sidecars as it is, call after call over the same connections", async () => {
  await inScope(async (scope) => {
    const random = seededRandom(41);
    const server = await RawServer.listen();
    scope.onEnd(() => server.close());
    const near = await scope.sidecar({ service: { name: "up", address: server.address } });
    const sidecar = await scope.sidecar({
      upstreams: { up: { discovery: "static", endpoints: [near.inbound] } },
    });
    const caller = await connectPeer(scope, sidecar.outbound);
    const hop = { caller, sidecar, server };
    for (let call = 0; call < 60; call++) {
      const [request, head, trailers] = [randomFields(random), randomFields(random), randomFields(random)];
      const seen = await roundTrip(hop, request, head, trailers);
      assert.deepEqual(pairsOf(seen.request), plain(callHead("up", ...request)));
      assert.deepEqual(pairsOf(seen.head), plain([...answerHead, ...head]));
      assert.deepEqual(pairsOf(seen.trailers), plain([["grpc-status", "0"], ...trailers]));
    }
  });
});

function plain(fields: readonly PlainField[]): [string, string][] {
  return fields.map(([name, value]) => [name, value]);
}

/** Names of a small set, so that they repeat, and values of every octet that may stand in one (RFC 9110 §5.5). */
function randomFields(random: () => number): PlainField[] {
  const names = ["x-a", "x-b", "x-c-bin", "authorization", "traceparent", "x-request-id", "grpc-tags-bin", "date"];
  return Array.from({ length: Math.floor(random() * 12) }, (): PlainField => {
    const name = names[Math.floor(random() * names.length)] ?? "";
    const length = Math.floor(random() ** 3 * 600);
    const octets = Array.from({ length }, () => Math.floor(random() * 256)).filter(
      (octet) => octet === 9 || (octet >= 32 && octet !== 127),
    );
    const value = String.fromCharCode(...octets).replace(/^[ \t]+|[ \t]+$/g, "");
    return random() < 0.2 ? [name, value, true] : [name, value];
  });
}
