import { answerHead, callHead, outboundHop } from "../../support/raw-call.ts";
import { fieldOf } from "../../support/raw-peer.ts";
import type { StatusCase } from "./case.ts";

const out = { direction: "outbound", upstream: "up" } as const;

/** Calls that a policy of the upstream ends. */
export const policies: readonly StatusCase[] = [
  {
    title: "attempts that are not answered within the time that each may take",
    expected: {
      ...out,
      status: 14,
      reason: "TRY_TIMEOUT",
      message: /^127\.0\.0\.1:\d+ did not answer within the 20ms that an attempt may take$/,
    },
    provoke: async (scope) => {
      const retry = { attempts: 2, perTryTimeout: "20ms", idempotentMethods: ["*"] };
      const { caller, sidecar } = await outboundHop(scope, { settings: { retry } });
      return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
    },
  },
  {
    title: "a call of which nothing moves for as long as its upstream allows",
    expected: { ...out, status: 14, reason: "IDLE_TIMEOUT", message: "nothing of the call has moved for 50 ms" },
    provoke: async (scope) => {
      const { caller, sidecar } = await outboundHop(scope, { settings: { idleTimeout: "50ms" } });
      return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
    },
  },
  {
    title: "a stream that has been open for as long as its upstream has it",
    expected: {
      ...out,
      status: 10,
      reason: "REBALANCE",
      message: "the stream was open for about 50 ms; open it again",
    },
    provoke: async (scope) => {
      const streams = { methods: ["*"], maxAge: "50ms", status: "aborted" };
      const { caller, sidecar } = await outboundHop(scope, { settings: { streams } });
      return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
    },
  },
  {
    title: "a circuit breaker that is open",
    expected: {
      ...out,
      status: 14,
      reason: "CIRCUIT_OPEN",
      message: /^the circuit breaker of up is open: 1 of 1 calls in 10s failed; /,
    },
    provoke: async (scope) => {
      const circuitBreaker = { minimumRequests: 1, openFor: "60s", statuses: ["deadlineExceeded"] };
      const { caller, sidecar } = await outboundHop(scope, { settings: { circuitBreaker } });
      await caller.answer(caller.request(callHead("up", ["grpc-timeout", "20m"]), true));
      sidecar.lines.length = 0;
      return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
    },
  },
  {
    title: "a share of the calls of an upstream that accepts too few of them",
    expected: {
      ...out,
      status: 14,
      reason: "ADMISSION",
      message:
        /^up has accepted 0 of the last \d+ calls, less than 50%(25)?: \d+(\.\d)?%(25)? of its calls are refused$/,
    },
    provoke: async (scope) => {
      const admissionControl = { minimumRequests: 1, maxRefused: "100%", statuses: ["deadlineExceeded"] };
      const { caller, sidecar } = await outboundHop(scope, { settings: { admissionControl } });
      // After n calls that nobody has accepted the next one is refused with a chance of n / (n + 1).
      for (;;) {
        sidecar.lines.length = 0;
        const answer = await caller.answer(caller.request(callHead("up", ["grpc-timeout", "20m"]), true));
        if (fieldOf(answer.head, "grpc-status") === "14") return { sidecar, answer };
      }
    },
  },
  {
    title: "a fault that is injected",
    expected: { ...out, status: 8, reason: "FAULT_INJECTED", message: "the fault game-day ended the call on purpose" },
    provoke: async (scope) => {
      const faults = [{ name: "game-day", match: { upstream: "up" }, abort: "resourceExhausted" }];
      const { caller, sidecar } = await outboundHop(scope, { more: { faults } });
      return { sidecar, answer: await caller.answer(caller.request(callHead("up"), true)) };
    },
  },
  {
    title: "a call with less time left than the fastest answer took",
    expected: {
      ...out,
      status: 4,
      reason: "DEADLINE_HOPELESS",
      method: "test.v1.Test/Call",
      message: /^the call has 5ms left, and the fastest answer took \d+ms of late$/,
    },
    provoke: async (scope) => {
      const { caller, server, sidecar } = await outboundHop(scope, {
        more: { deadlines: { refuseHopeless: "onRequest" } },
      });
      const streams = Array.from({ length: 20 }, () => caller.request(callHead("up"), true));
      const upstream = await server.peer();
      for (const _ of streams) {
        const { stream } = await upstream.nextRequest();
        setTimeout(() => upstream.headers(stream, [...answerHead, ["grpc-status", "0"]], true), 40);
      }
      for (const stream of streams) await caller.answer(stream);
      await sidecar.call(19);
      sidecar.lines.length = 0;
      return { sidecar, answer: await caller.answer(caller.request(callHead("up", ["grpc-timeout", "5m"]), true)) };
    },
  },
];
