import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { writeRootfs } from "../../deploy/image/rootfs.ts";
import { loadConfig } from "../../src/config/load.ts";
import { version } from "../../src/core/version.ts";
import { runProcess } from "../support/process.ts";

const systemd = join(import.meta.dirname, "..", "..", "deploy", "systemd");
const unit = readFileSync(join(systemd, "outrigger.service"), "utf8");
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "install-"));
  await writeRootfs("outrigger", join(folder, "rootfs"));
});
after(() => rm(folder, { recursive: true, force: true }));

const install = (...args: string[]) =>
  runProcess(join(systemd, "install.sh"), args, { env: { DESTDIR: join(folder, "machine") }, timeout: 60_000 });

test("the script installs a program that runs, the unit, and a configuration that loads", async () => {
  const done = await install(join(folder, "rootfs"));
  assert.equal(done.code, 0, done.stderr);
  assert.equal(done.stdout, `installed outrigger ${version}\n`);
  const machine = join(folder, "machine");
  assert.equal(readFileSync(join(machine, "usr/lib/systemd/system/outrigger.service"), "utf8"), unit);
  const text = readFileSync(join(machine, "etc/outrigger/outrigger.yaml"), "utf8");
  assert.ok(loadConfig(text, { file: "outrigger.yaml", env: {} }).ok);
});

test("running it again updates the program and leaves the configuration alone", async () => {
  const config = join(folder, "machine", "etc/outrigger/outrigger.yaml");
  await writeFile(config, "log: { level: debug }\n");
  assert.equal((await install(join(folder, "rootfs"))).code, 0);
  assert.equal(readFileSync(config, "utf8"), "log: { level: debug }\n");
  assert.ok(!existsSync(join(folder, "machine", "usr/lib/outrigger.old")));
});

test("without a root file system it says how to make one", async () => {
  const done = await install();
  assert.equal(done.code, 2);
  assert.match(done.stderr, /made by: node deploy\/image\/rootfs\.ts outrigger/);
});

test("the unit gives the sidecar the time that a drain may take: notice, grace and 5 s", () => {
  const loaded = loadConfig("", { file: "", env: {} });
  assert.ok(loaded.ok);
  const { notice, grace } = loaded.config.drain;
  const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(unit) ?? [];
  assert.ok(Number(seconds) * 1000 >= notice + grace + 5000);
});

test("systemd itself finds nothing wrong with the unit", async (t) => {
  const found = await runProcess("systemd-analyze", ["--version"]).catch(() => undefined);
  if (found === undefined) {
    t.skip("systemd-analyze is not installed");
    return;
  }
  // Its programs are not on this machine, which it would complain of.
  const here = join(folder, "outrigger.service");
  await writeFile(here, unit.replaceAll("/usr/bin/outrigger", "/bin/true").replaceAll("=outrigger\n", "=root\n"));
  const done = await runProcess("systemd-analyze", ["verify", here]);
  assert.equal(done.code, 0, done.stderr);
});
