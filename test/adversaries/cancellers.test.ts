import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorCode } from "../../src/http2/errors.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { connectPeer } from "../support/raw-call.ts";
import { RawPeer } from "../support/raw-peer.ts";
import { skipUnless } from "../support/real-parts.ts";
import { inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";
import { envoyServer, goServer, grpcJsServer, nodeServer, type SlowServer } from "./slow-servers.ts";

/**
 * Callers that give up often are no attackers, and the sidecar that passes their cancels on, over connections that all callers
 * share, must not be taken for one by real servers at their defaults.
 */

const CANCELS = 5000;
const CALLERS = 5;
/** Calls that a caller has open before it gives all of them up. */
const BATCH = 50;

const servers: readonly (readonly [string, (scope: Scope) => Promise<SlowServer>, { skip: string | false }])[] = [
  ["Node's HTTP/2", nodeServer, { skip: false }],
  ["grpc-js", grpcJsServer, { skip: false }],
  ["Go's x/net", goServer, skipUnless("go")],
  ["Envoy", envoyServer, skipUnless("envoy")],
];

function head(path: string): PlainField[] {
  const fields: PlainField[] = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "up"],
  ];
  return path.startsWith("/test.") ? [...fields, ["te", "trailers"], ["content-type", "application/grpc"]] : fields;
}

/** Opens calls and gives them up, a batch at a time. Ends early where the connection does. */
async function giveUp(peer: RawPeer, path: string, count: number): Promise<void> {
  for (let done = 0; done < count && !peer.socket.destroyed; done += BATCH) {
    const streams = Array.from({ length: BATCH }, () => peer.request(head(path), true));
    await sleep(25);
    for (const stream of streams) peer.reset(stream, ErrorCode.CANCEL);
    await sleep(1);
    peer.received.length = 0;
  }
}

/** Makes calls that succeed, one after the other, until it is told to stop; the answers that came. */
async function call(peer: RawPeer, path: string, stop: () => boolean): Promise<{ good: number; bad: string[] }> {
  const seen = { good: 0, bad: [] as string[] };
  while (!stop()) {
    const answer = await peer.answer(peer.request(head(path), true));
    const status = answer.head.find(({ name }) => name === ":status")?.value ?? "none";
    const reason = answer.head.find(({ name }) => name === "outrigger-reason")?.value;
    if (reason === undefined && (status === "204" || status === "200")) seen.good++;
    else seen.bad.push(`${status} ${reason} ${answer.reset}`);
    peer.received.length = 0;
    await sleep(1);
  }
  return seen;
}

async function sidecarFor(scope: Scope, server: SlowServer): Promise<Sidecar> {
  return await scope.sidecar({
    identity: { name: "caller" },
    upstreams: { up: { discovery: "static", endpoints: [server.address] } },
    log: { access: "none" },
  });
}

for (const [name, start, { skip }] of servers) {
  test(`${CANCELS} cancels of callers who may cancel do not cost a connection to ${name}`, { skip }, async () => {
    await inScope(async (scope) => {
      const server = await start(scope);
      const sidecar = await sidecarFor(scope, server);
      const [patient, regular, ...hasty] = await Promise.all(
        Array.from({ length: 2 + CALLERS }, () => connectPeer(scope, sidecar.outbound)),
      );
      assert.ok(patient !== undefined && regular !== undefined);
      // A call that goes on all the while, on the connection that is worn out first.
      const long = patient.request(head(server.long), false);
      await sleep(50);
      let over = false;
      const calls = call(regular, server.fast, () => over);
      await Promise.all(hasty.map((peer) => giveUp(peer, server.slow, CANCELS / CALLERS)));
      over = true;
      const { good, bad } = await calls;
      assert.deepEqual(bad, []);
      assert.ok(good > 2, `${good} good calls`);
      assert.equal(server.ended(), 0);
      assert.deepEqual(
        sidecar.lines.filter(({ level, msg }) => level === "warn" && /ended a connection|broke/.test(String(msg))),
        [],
      );
      assert.deepEqual(
        patient.received.filter(({ kind, stream }) => kind === "closed" || (kind === "reset" && stream === long)),
        [],
        "the long call goes on",
      );
      patient.reset(long, ErrorCode.CANCEL);
      // What waits for its reset ends as time goes by.
      for (let minute = 0; minute < 5; minute++) {
        sidecar.clock.jump(60_000);
        await sleep(10);
      }
    });
  });
}

// Go's servers end it only where their own queues happen to be behind, so they prove nothing here.
for (const [name, start, { skip }] of servers.filter(([name]) => !name.startsWith("Go"))) {
  test(`${CANCELS} cancels over one connection, as fast as they come, do cost it with ${name}`, { skip }, async () => {
    await inScope(async (scope) => {
      const server = await start(scope);
      const peer = await RawPeer.connect(server.address);
      scope.onEnd(() => void peer.socket.destroy());
      let ended = "";
      const look = (): void => {
        const goaway = peer.received.find(({ kind }) => kind === "goaway" || kind === "closed");
        if (goaway !== undefined) ended = goaway.kind;
      };
      for (let done = 0; done < CANCELS && ended === ""; done += BATCH) {
        for (let at = 0; at < BATCH; at++) peer.reset(peer.request(head(server.slow), true), ErrorCode.CANCEL);
        await sleep(2);
        look();
        peer.received.length = 0;
      }
      for (let wait = 0; wait < 100 && ended === ""; wait++) {
        await sleep(10);
        look();
      }
      assert.notEqual(ended, "", "else the pace of cancels would be for nothing");
    });
  });
}
