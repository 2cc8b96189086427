import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { callHead, connectPeer } from "../../support/raw-call.ts";
import type { Scope, SidecarConfig } from "../../support/with-proxy.ts";
import type { StatusCase } from "./case.ts";

const unrouted = { direction: "outbound", upstream: "" } as const;

async function call(scope: Scope, config: SidecarConfig, ...authorities: string[]) {
  const path = await mkdtemp(join(tmpdir(), "outrigger-test-"));
  scope.onEnd(() => rm(path, { recursive: true, force: true }));
  const sidecar = await scope.sidecar({ identity: { name: "caller" }, discovery: { directory: { path } }, ...config });
  const caller = await connectPeer(scope, sidecar.outbound);
  const answers = [];
  for (const authority of authorities) answers.push(await caller.answer(caller.request(callHead(authority), true)));
  return { sidecar, answer: answers.at(-1) };
}

/** Calls that do not find out whom they are for. */
export const routing: readonly StatusCase[] = [
  {
    title: "a name that nobody declared and that is more than a label",
    expected: {
      ...unrouted,
      status: 12,
      reason: "NO_ROUTE",
      message: "no upstream is called api.example.com, and it may not be looked up",
    },
    provoke: (scope) => call(scope, {}, "api.example.com"),
  },
  {
    title: "more undeclared names than may be in use",
    expected: {
      ...unrouted,
      status: 8,
      reason: "LOOKUP_LIMIT",
      message: "1 undeclared names are in use already",
    },
    provoke: (scope) => call(scope, { names: { onDemand: { max: 1 } } }, "one", "two"),
  },
  {
    title: "more undeclared names in a second than are looked up",
    expected: {
      ...unrouted,
      status: 8,
      reason: "LOOKUP_LIMIT",
      message: "more than 2 undeclared names a second are not looked up",
    },
    provoke: (scope) => call(scope, { names: { onDemand: { rate: "2/s" } } }, "one", "two", "three"),
  },
  {
    title: "userinfo in the authority",
    expected: {
      ...unrouted,
      status: 3,
      reason: "BAD_AUTHORITY",
      message: "the :authority is malformed: it has userinfo",
    },
    provoke: (scope) => call(scope, {}, "me@up"),
  },
  {
    title: "an extended CONNECT for something else than a WebSocket",
    expected: {
      ...unrouted,
      status: 12,
      reason: "CONNECT_UNSUPPORTED",
      message: "connect-udp is no protocol that is carried over HTTP/2, websocket is",
    },
    provoke: async (scope) => {
      const sidecar = await scope.sidecar({ identity: { name: "caller" } });
      const caller = await connectPeer(scope, sidecar.outbound);
      const [, ...rest] = callHead("up");
      const head = [[":method", "CONNECT"], [":protocol", "connect-udp"], ...rest] as const;
      return { sidecar, answer: await caller.answer(caller.request(head, false)) };
    },
  },
  {
    title: "a call that has come through more sidecars than any way has",
    expected: {
      ...unrouted,
      status: 13,
      reason: "LOOP",
      message: "the call has come through 17 sidecars, 16 are allowed",
    },
    provoke: async (scope) => {
      const sidecar = await scope.sidecar({ identity: { name: "caller" } });
      const caller = await connectPeer(scope, sidecar.outbound, { sidecar: true });
      return { sidecar, answer: await caller.answer(caller.request(callHead("up", ["outrigger-hops", "17"]), true)) };
    },
  },
  ...(["at once", "later"] as const).map(
    (when): StatusCase => ({
      title: `a filter that fails ${when}`,
      expected: {
        direction: "outbound",
        upstream: "up",
        status: 13,
        reason: "INTERNAL",
        message: "a filter failed; the sidecar's log has the fault",
      },
      provoke: (scope) => callWithFault(scope, when),
    }),
  ),
];

/** A call to an upstream that has a filter which throws. What the log says of it is taken out again. */
async function callWithFault(scope: Scope, when: "at once" | "later") {
  const sidecar = await scope.sidecar({
    identity: { name: "caller" },
    upstreams: { up: { discovery: "static", endpoints: ["127.0.0.1:1"] } },
  });
  const target = sidecar.runtime.upstreams.target("up");
  if (target === undefined) throw new Error("up is declared");
  const filters: unknown = Reflect.get(target.filters, "requests");
  if (!Array.isArray(filters)) throw new Error("a chain has filters");
  const fail = (): never => {
    throw new Error("broken");
  };
  filters.push({ name: "broken", onRequest: when === "at once" ? fail : async () => fail() });
  const caller = await connectPeer(scope, sidecar.outbound);
  const answer = await caller.answer(caller.request(callHead("up"), true));
  const faults = sidecar.lines.filter(({ level }) => level === "error");
  if (faults.length !== 1 || faults[0]?.path !== "/test.v1.Test/Call")
    throw new Error(`faults: ${JSON.stringify(faults)}`);
  sidecar.lines.splice(sidecar.lines.indexOf(faults[0]), 1);
  return { sidecar, answer };
}
