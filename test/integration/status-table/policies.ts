import { callHead, outboundHop } from "../../support/raw-call.ts";
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
];
