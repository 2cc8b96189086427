import { answerHead, callHead, connectPeer, inboundConfig } from "../../support/raw-call.ts";
import { RawServer } from "../../support/raw-peer.ts";
import type { Scope, SidecarConfig } from "../../support/with-proxy.ts";
import type { StatusCase } from "./case.ts";

const fields = [
  "grpc-retry-pushback-ms",
  "retry-after",
  "x-ratelimit-limit",
  "x-ratelimit-remaining",
  "x-ratelimit-reset",
];

/** One call that passes, and one more. */
async function twice(scope: Scope, direction: "inbound" | "outbound", rateLimits: SidecarConfig["rateLimits"] = []) {
  const server = await RawServer.listen();
  scope.onEnd(() => server.close());
  const upstreams = { up: { discovery: "static", endpoints: [server.address] } };
  const sidecar = await scope.sidecar(
    direction === "inbound"
      ? inboundConfig(server.address, { rateLimits })
      : { identity: { name: "caller" }, upstreams, rateLimits },
  );
  const caller = await connectPeer(scope, sidecar[direction]);
  const first = caller.request(callHead("up"), true);
  const upstream = await server.peer();
  const request = await upstream.nextRequest();
  // With another status the method would have a label of its own.
  upstream.headers(request.stream, [...answerHead, ["grpc-status", "12"]], true);
  await caller.answer(first);
  return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
}

/** One call that is not answered, and one more. */
async function whileOneIsUnderWay(scope: Scope, direction: "inbound" | "outbound") {
  const server = await RawServer.listen();
  scope.onEnd(() => server.close());
  const adaptiveConcurrency = { initial: 1, min: 1 };
  const upstreams = { up: { discovery: "static", endpoints: [server.address], adaptiveConcurrency } };
  const sidecar = await scope.sidecar(
    direction === "inbound"
      ? { service: { name: "up", address: server.address, adaptiveConcurrency } }
      : { identity: { name: "caller" }, upstreams },
  );
  const caller = await connectPeer(scope, sidecar[direction]);
  caller.request(callHead("up"), true);
  await (await server.peer()).nextRequest();
  const answer = await caller.answer(caller.request(callHead("up"), true));
  caller.destroy();
  return { sidecar, answer };
}

/** A call of a sidecar that has more memory than it may have. */
async function whileOverloaded(scope: Scope, direction: "inbound" | "outbound") {
  const server = await RawServer.listen();
  scope.onEnd(() => server.close());
  const overload = { memory: { limit: "1MiB", refuseConnections: "never" } };
  const upstreams = { up: { discovery: "static", endpoints: [server.address] } };
  const sidecar = await scope.sidecar(
    direction === "inbound"
      ? inboundConfig(server.address, { overload })
      : { identity: { name: "caller" }, upstreams, overload },
  );
  const caller = await connectPeer(scope, sidecar[direction]);
  return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
}

const daily = { name: "daily", limit: "1/d", algorithm: "fixedWindow" };

/** Calls over a limit. */
export const limiting: readonly StatusCase[] = [
  {
    title: "a call over a quota, of the application",
    expected: {
      direction: "outbound",
      upstream: "up",
      status: 8,
      reason: "RATE_LIMIT",
      message: /^the rate limit daily of 1\/d is used up; again in [0-9]+ms$/,
      fields,
    },
    provoke: (scope) => twice(scope, "outbound", [{ ...daily, direction: "outbound" }]),
  },
  {
    title: "a call over a quota, of a stranger",
    expected: {
      direction: "inbound",
      upstream: "up",
      status: 8,
      reason: "RATE_LIMIT",
      message: "too many calls have come",
      detail: /^the rate limit daily of 1\/d is used up/,
      unprocessed: true,
      fields: ["grpc-retry-pushback-ms"],
    },
    provoke: (scope) => twice(scope, "inbound", [daily]),
  },
  {
    title: "a call over a quota, of a stranger who is to be told of it",
    expected: {
      direction: "inbound",
      upstream: "up",
      status: 8,
      reason: "RATE_LIMIT",
      message: "too many calls have come",
      detail: /^the rate limit daily of 1\/d is used up/,
      unprocessed: true,
      fields,
    },
    provoke: (scope) => twice(scope, "inbound", [{ ...daily, headers: "all" }]),
  },
  {
    title: "a call beyond the learned limit of an upstream",
    expected: {
      direction: "outbound",
      upstream: "up",
      status: 8,
      reason: "CONCURRENCY",
      message: "1 calls of up are under way; limit 1: no latency is known yet",
      fields: ["grpc-retry-pushback-ms"],
    },
    provoke: (scope) => whileOneIsUnderWay(scope, "outbound"),
  },
  {
    title: "a stranger's call beyond the learned limit of the application",
    expected: {
      direction: "inbound",
      upstream: "up",
      status: 8,
      reason: "CONCURRENCY",
      message: "too many calls are under way",
      detail: /^1 calls of up are under way; limit 1: /,
      unprocessed: true,
      fields: ["grpc-retry-pushback-ms"],
    },
    provoke: (scope) => whileOneIsUnderWay(scope, "inbound"),
  },
  {
    title: "a call of the application while its sidecar has too much memory",
    expected: {
      direction: "outbound",
      upstream: "up",
      status: 8,
      reason: "OVERLOAD",
      message:
        /^the sidecar is overloaded: memory at [0-9.]+%25 \([0-9]+ of 1 MiB\), refuseOrdinary is from 95%25, and the call is ordinary$/,
      fields: ["grpc-retry-pushback-ms"],
    },
    provoke: (scope) => whileOverloaded(scope, "outbound"),
  },
  {
    title: "a stranger's call while the sidecar has too much memory",
    expected: {
      direction: "inbound",
      upstream: "up",
      status: 8,
      reason: "OVERLOAD",
      message: "the sidecar has too little left to take the call",
      detail: /^the sidecar is overloaded: memory at /,
      unprocessed: true,
      fields: ["grpc-retry-pushback-ms"],
    },
    provoke: (scope) => whileOverloaded(scope, "inbound"),
  },
];
