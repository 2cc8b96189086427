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
];
