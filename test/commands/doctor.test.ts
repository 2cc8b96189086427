import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { doctorPage } from "../../src/control/doctor/doctor.ts";
import type { Finding } from "../../src/control/doctor/finding.ts";
import { freePorts } from "../support/ports.ts";
import { runProcess } from "../support/process.ts";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");

test("what is wrong comes first, each with its remedy, and is counted", () => {
  const page = doctorPage([
    { check: "a", verdict: "ok", evidence: "fine", remedy: undefined },
    { check: "b", verdict: "warning", evidence: "odd", remedy: "Look." },
    { check: "c", verdict: "error", evidence: "broken", remedy: "Mend." },
  ]);
  assert.equal(
    page,
    "ERROR    c: broken\n         -> Mend.\nwarning  b: odd\n         -> Look.\nok       a: fine\n\n1 errors, 1 warnings, 1 in order\n",
  );
});

test("the command ends with 0 where nothing is an error, 1 where something is, and 2 with a broken file", async () => {
  const [outbound = 0, admin = 0, probe = 0, nobody = 0] = await freePorts(4);
  const at = (port: number): string => `127.0.0.1:${port}`;
  const listeners = { outbound: at(outbound), admin: at(admin), probe: at(probe), inbound: at(nobody + 0) };
  const doctor = (config: object, ...args: string[]) =>
    runProcess(process.execPath, [main, "doctor", "-c", "-", "--idle", "100ms", ...args], {
      input: JSON.stringify(config),
    });
  const { inbound: _inbound, ...callerOnly } = listeners;
  const good = await doctor({ listeners: callerOnly });
  assert.equal(good.code, 0, good.stdout);
  assert.match(good.stdout, /\n\n0 errors/);
  const bad = await doctor({ listeners: callerOnly, service: { name: "app", address: at(nobody) } }, "--json");
  assert.equal(bad.code, 1);
  const { findings }: { readonly findings: readonly Finding[] } = JSON.parse(bad.stdout);
  const wrong = findings.filter(({ verdict, check }) => verdict === "error" && check === "application");
  assert.equal(wrong.length, 1);
  assert.match(wrong[0]?.remedy ?? "", /^Start the application/);
  assert.equal((await doctor({ listener: {} })).code, 2);
  assert.equal((await doctor({}, "--idle", "soon")).code, 2);
});
