import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { callList, explanationPage } from "../../src/commands/explain.ts";
import { startAdmin } from "../../src/control/admin.ts";
import { formatAddress } from "../../src/core/address.ts";
import { systemClock } from "../../src/core/clock.ts";
import { anExplanation, FakeView } from "../control/fake-view.ts";
import { runProcess } from "../support/process.ts";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");
const page = `call abcd-1, outbound, trace 4bf92f3577b34da6a3ce929d0e0e4736
  /orders.v1.Orders/Get to orders
  from 127.0.0.1:40000, at 2030-01-01T00:00:00.000Z
  UNAVAILABLE UPSTREAM_LOST after 1.5 ms; orders at 10.0.0.1:15006, attempts: 1
  deadline 250 ms, set by the caller
  time: deciding 0.1 ms, reaching 0.2 ms

          +0 ms  limit maxConcurrent: 3 of 4
        +0.1 ms  the endpoints that there were
                  - 10.0.0.1:15006: picked
`;

test("an explanation is a page, and says where the first of it is no longer known", () => {
  assert.equal(explanationPage(anExplanation), page);
  assert.match(explanationPage({ ...anExplanation, forgotten: true }), /the first decisions are no longer known/);
  assert.match(explanationPage({ ...anExplanation, status: null, durationMs: null }), /^ {2}under way; orders/m);
});

test("calls are listed a line each", () => {
  const lines = callList(new FakeView().latestCalls(2, false)).split("\n");
  assert.match(
    lines[0] ?? "",
    /^abcd-1 {2}[-0-9]+T[:.0-9]+Z {2}outbound {2}orders {2}\/orders\.v1\.Orders\/Get {2}UNAVAILABLE UPSTREAM_LOST {2}1\.5 ms/,
  );
  assert.match(lines[1] ?? "", /^abcd-2 /);
  assert.equal(callList([]), "no call is remembered\n");
});

test("a running sidecar is asked; an unknown id, and nobody who answers, end with 1 and the reason", async (t) => {
  const options = { view: new FakeView(), hosts: () => [], clock: systemClock, log: pino({ level: "silent" }) };
  const admin = await startAdmin({ kind: "tcp", host: "127.0.0.1", port: 0 }, options);
  t.after(() => admin.close());
  const at = formatAddress(admin.address);
  const explain = (...args: string[]) => runProcess(process.execPath, [main, "explain", ...args]);

  assert.deepEqual(await explain("--admin", at, "abcd-1"), { code: 0, signal: null, stdout: page, stderr: "" });
  const json = await explain("--admin", at, "--json", "--failed");
  assert.equal(JSON.parse(json.stdout).calls.length, 1);
  const unknown = await explain("--admin", at, "abcd-9");
  assert.deepEqual([unknown.code, unknown.stdout], [1, ""]);
  assert.match(unknown.stderr, /no call "abcd-9" is remembered/);
  const nobody = await explain("--admin", "127.0.0.1:1");
  assert.equal(nobody.code, 1);
  assert.match(nobody.stderr, /cannot ask 127\.0\.0\.1:1: .*ECONNREFUSED/);
  assert.equal((await explain("one", "two")).code, 2);
});
