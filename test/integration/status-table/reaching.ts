import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Blackhole } from "../../support/blackhole.ts";
import { freePort } from "../../support/ports.ts";
import { callHead, connectPeer, inboundConfig } from "../../support/raw-call.ts";
import { type RawAnswer, type RawPeer, RawServer } from "../../support/raw-peer.ts";
import { eventually, type Scope, type Sidecar, type SidecarConfig } from "../../support/with-proxy.ts";
import type { StatusCase } from "./case.ts";

const out = { status: 14, direction: "outbound", upstream: "up" } as const;
const stranger = { status: 14, direction: "inbound", upstream: "up" } as const;

/** Calls that find nobody to go to. */
export const reaching: readonly StatusCase[] = [
  {
    title: "a declared upstream without an instance",
    expected: { ...out, reason: "NO_ENDPOINTS", message: "directory knows no instance of up" },
    provoke: async (scope) =>
      await callOnce(scope, { discovery: { directory: await folder(scope) }, upstreams: { up: {} } }),
  },
  {
    title: "a name that was looked up and has no instance",
    expected: { ...out, upstream: "", reason: "NO_ENDPOINTS", message: "nobody has no instance" },
    provoke: async (scope) => await callOnce(scope, { discovery: { directory: await folder(scope) } }, "nobody"),
  },
  {
    title: "a call that waited ten seconds for its first connection",
    expected: { ...out, reason: "NO_ENDPOINTS", message: /^the call waited 10s for up: / },
    provoke: async (scope) => {
      const hole = await blackhole(scope);
      const made = await begin(scope, declared(hole.address, await blackhole(scope).then(({ address }) => address)));
      await sleep(50);
      // The first endpoint is given up after 5 s, the second one not before 10 s.
      made.sidecar.clock.jump(5100);
      await sleep(50);
      made.sidecar.clock.jump(4990);
      return await made.end();
    },
  },
  {
    title: "instances of which none has the meta that the upstream asks for",
    expected: {
      ...out,
      reason: "NO_MATCHING_SUBSET",
      message: "none of 1 instances of up has the meta that the call asks for",
    },
    provoke: async (scope) => {
      const discovery = { directory: await folder(scope) };
      await scope.sidecar({ service: { name: "up", address: "127.0.0.1:1", meta: { version: "v1" } }, discovery });
      const sidecar = await scope.sidecar({
        identity: { name: "caller" },
        discovery,
        upstreams: { up: { subsets: { match: { version: "v2" } } } },
      });
      await stateOf(sidecar, "up");
      return await callVia(scope, sidecar, sidecar.outbound);
    },
  },
  {
    title: "an endpoint whose health checks fail, where health is never ignored",
    expected: {
      ...out,
      reason: "ALL_EJECTED",
      message: /^none of 1 instances of up is healthy, 127\.0\.0\.1:\d+: cannot connect to .*: connection refused/,
    },
    provoke: async (scope) => {
      const server = await RawServer.listen();
      scope.onEnd(() => server.close());
      const healthCheck = { kind: "tcp", port: await freePort() };
      const sidecar = await scope.sidecar({
        identity: { name: "caller" },
        upstreams: { up: { discovery: "static", endpoints: [server.address], healthCheck, panicThreshold: "0%" } },
      });
      await stateOf(sidecar, "unhealthy");
      return await callVia(scope, sidecar, sidecar.outbound);
    },
  },
  {
    title: "an endpoint at which nothing listens",
    expected: {
      ...out,
      reason: "CONNECT_REFUSED",
      message: /^cannot connect to 127\.0\.0\.1:\d+: connection refused, nothing listens there$/,
    },
    provoke: async (scope) => await callOnce(scope, declared(`127.0.0.1:${await freePort()}`)),
  },
  {
    title: "an application that does not listen, to a stranger",
    expected: {
      ...stranger,
      reason: "CONNECT_REFUSED",
      message: "the connection was refused",
      detail: /127\.0\.0\.1:\d+/,
      unprocessed: true,
    },
    provoke: async (scope) => {
      const sidecar = await scope.sidecar(inboundConfig(`127.0.0.1:${await freePort()}`));
      return await callVia(scope, sidecar, sidecar.inbound);
    },
  },
  {
    title: "an endpoint whose backlog is full",
    expected: {
      ...out,
      reason: "CONNECT_TIMEOUT",
      message: /^no connection to 127\.0\.0\.1:\d+ within 5000 ms: maybe /,
    },
    provoke: async (scope) => {
      const { address } = await blackhole(scope);
      const made = await begin(scope, declared(address));
      await sleep(50);
      made.sidecar.clock.jump(5000);
      return await made.end();
    },
  },
  {
    title: "an endpoint that takes connections and does not speak HTTP/2",
    expected: {
      ...out,
      reason: "CONNECT_FAILED",
      message: /^127\.0\.0\.1:\d+ took the connection and ended it before HTTP\/2 began /,
    },
    provoke: async (scope) => {
      const server = await RawServer.listen({ polite: false });
      scope.onEnd(() => server.close());
      const made = await begin(scope, declared(server.address));
      (await server.peer()).socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
      return await made.end();
    },
  },
  {
    title: "more calls than may wait",
    expected: { ...out, reason: "QUEUE_FULL", message: "10000 calls are waiting already, 910 of this caller" },
    provoke: async (scope) => {
      const { address } = await blackhole(scope);
      const sidecar = await scope.sidecar({ ...declared(address), log: { access: "errors" } });
      const callers: RawPeer[] = [];
      // No connection may have as many streams, and each has a share.
      while (callers.length < 11) callers.push(await connectPeer(scope, sidecar.outbound));
      const streams: [RawPeer, number][] = [];
      for (let call = 0; call < 10_000; call++) {
        const caller = callers[call % callers.length];
        if (caller !== undefined) streams.push([caller, caller.request(callHead("up"), true)]);
      }
      await eventually(
        () => sidecar.shared.room.calls === 10_000,
        () => `10,000 waiting calls, not ${sidecar.shared.room.calls}`,
      );
      const [caller] = callers;
      if (caller === undefined) throw new Error("no caller");
      const answer = await caller.answer(caller.request(callHead("up"), true));
      for (const [peer, stream] of streams) peer.reset(stream, 8);
      return { sidecar, answer };
    },
  },
  {
    title: "more octets of waiting requests than are held",
    expected: {
      ...out,
      reason: "QUEUE_FULL",
      message: "33030144 octets of requests are kept already, 524288 of this caller",
    },
    provoke: async (scope) => {
      const { address } = await blackhole(scope);
      const sidecar = await scope.sidecar({ ...declared(address), log: { access: "errors" } });
      const chunk = Buffer.alloc(16_384);
      const callers: RawPeer[] = [];
      let held = 0;
      /** A connection's window is 1 MiB and a stream's 128 KiB, so that it takes some of both. */
      const fill = async (calls: number): Promise<RawPeer> => {
        const caller = await connectPeer(scope, sidecar.outbound);
        callers.push(caller);
        for (let call = 0; call < calls; call++) {
          const stream = caller.request(callHead("up"));
          for (let sent = 0; sent < 131_072; sent += chunk.length) caller.data(stream, chunk);
        }
        held += calls * 131_072;
        return caller;
      };
      const allHeld = async (): Promise<void> =>
        await eventually(
          () => sidecar.shared.room.octets === held,
          () => `${held} octets waiting, not ${sidecar.shared.room.octets}`,
        );
      while (callers.length < 31) await fill(8);
      await allHeld();
      // Of the last mebibyte one caller may have a half.
      const caller = await fill(4);
      await allHeld();
      const stream = caller.request(callHead("up"));
      caller.data(stream, Buffer.from("x"));
      const answer = await caller.answer(stream);
      for (const { socket } of callers) socket.destroy();
      return { sidecar, answer };
    },
  },
];

async function folder(scope: Scope): Promise<{ path: string }> {
  const path = await mkdtemp(join(tmpdir(), "outrigger-test-"));
  scope.onEnd(() => rm(path, { recursive: true, force: true }));
  return { path };
}

async function blackhole(scope: Scope): Promise<Blackhole> {
  const hole = await Blackhole.open();
  scope.onEnd(() => hole.close());
  return hole;
}

function declared(...endpoints: string[]): SidecarConfig {
  return { identity: { name: "caller" }, upstreams: { up: { discovery: "static", endpoints } } };
}

async function callOnce(scope: Scope, config: SidecarConfig, authority = "up") {
  const sidecar = await scope.sidecar({ identity: { name: "caller" }, ...config });
  return await callVia(scope, sidecar, sidecar.outbound, authority);
}

async function callVia(scope: Scope, sidecar: Sidecar, address: string, authority = "up") {
  const caller = await connectPeer(scope, address);
  return { sidecar, answer: await caller.answer(caller.request(callHead(authority), true)) };
}

/** Makes a call that does not end by itself. */
async function begin(scope: Scope, config: SidecarConfig) {
  const sidecar = await scope.sidecar(config);
  const caller = await connectPeer(scope, sidecar.outbound);
  const stream = caller.request(callHead("up"), true);
  return {
    sidecar,
    end: async (): Promise<{ sidecar: Sidecar; answer: RawAnswer }> => ({
      sidecar,
      answer: await caller.answer(stream),
    }),
  };
}

/** Waits until the only endpoint of the only upstream is known and in a state. */
async function stateOf(sidecar: Sidecar, state: string): Promise<void> {
  await eventually(
    () => [...sidecar.runtime.upstreams.clusters()].some((cluster) => (cluster.conditions().get(state) ?? 0) > 0),
    () => `an endpoint that is ${state}`,
  );
}
