import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { writeRootfs } from "../../deploy/image/rootfs.ts";
import { loadConfig } from "../../src/config/load.ts";
import { version } from "../../src/core/version.ts";
import { namespacesSkip } from "../support/netns.ts";
import { type Completed, runProcess } from "../support/process.ts";

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

test("it is uninstalled, but for the configuration, and once more to no effect", async () => {
  const machine = join(folder, "machine");
  for (let round = 0; round < 2; round++) {
    const done = await install("--uninstall");
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stdout, /^uninstalled outrigger; .*\/etc\/outrigger and the user outrigger are left$/m);
    assert.ok(existsSync(join(machine, "etc/outrigger/outrigger.yaml")));
    for (const path of ["usr/bin/outrigger", "usr/lib/outrigger", "usr/lib/systemd/system/outrigger.service"])
      assert.ok(!existsSync(join(machine, path)), path);
  }
});

/** A machine whose /etc, /usr and /run are gone with the command, and whose systemd only writes down what it is told. */
const MACHINE = `
scratch=$1; shift
mount -t tmpfs tmpfs "$scratch"
for part in etc usr; do
  mkdir -p "$scratch/$part/upper" "$scratch/$part/work"
  mount -t overlay overlay -o "lowerdir=/$part,upperdir=$scratch/$part/upper,workdir=$scratch/$part/work" "/$part"
done
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mkdir "$scratch/bin"
printf '#!/bin/sh\\necho "systemctl $*"\\n' >"$scratch/bin/systemctl"
chmod +x "$scratch/bin/systemctl"
PATH="$scratch/bin:$PATH"
install=$1 rootfs=$2
`;

async function onMachine(script: string): Promise<Completed> {
  const scratch = await mkdtemp(join(folder, "scratch-"));
  const command = ["--mount", "sh", "-euc", MACHINE + script, "sh", scratch];
  return runProcess("unshare", [...command, join(systemd, "install.sh"), join(folder, "rootfs")], { timeout: 120_000 });
}

test("on a machine of its own: install, run as its user, upgrade, a configuration that the upgrade does not take, uninstall", async (t) => {
  const able = namespacesSkip === false && (await onMachine("true")).code === 0;
  if (!able) {
    t.skip("a machine of its own needs root and overlays");
    return;
  }
  const done = await onMachine(`
    "$install" "$rootfs"
    id -nu outrigger
    setpriv --reuid outrigger --regid outrigger --clear-groups --no-new-privs /usr/bin/outrigger --version
    echo "log: { level: debug }" >/etc/outrigger/outrigger.yaml
    echo upgrade; "$install" "$rootfs"; cat /etc/outrigger/outrigger.yaml
    echo "log: { level: loud }" >/etc/outrigger/outrigger.yaml
    echo broken; ! "$install" "$rootfs" 2>&1
    echo gone; "$install" --uninstall; ls /etc/outrigger; id -nu outrigger; ! command -v outrigger
  `);
  assert.equal(done.code, 0, `${done.stdout}\n${done.stderr}`);
  const [first = "", upgrade = "", broken = "", gone = ""] = done.stdout.split(/^(?:upgrade|broken|gone)$/m);
  const started = `systemctl daemon-reload\nsystemctl enable outrigger.service\n`;
  assert.ok(first.startsWith(`installed outrigger ${version}\n${started}`), first);
  assert.ok(first.endsWith(`systemctl restart outrigger.service\noutrigger\noutrigger ${version}\n`), first);
  assert.match(upgrade, /systemctl restart outrigger\.service\nlog: \{ level: debug \}\n$/);
  assert.match(broken, /log\.level/);
  assert.match(broken, /installed, but not started: put \/etc\/outrigger\/outrigger\.yaml right/);
  assert.doesNotMatch(broken, /systemctl restart outrigger\.service/);
  assert.match(gone, /^\nsystemctl disable --now outrigger\.service\nsystemctl daemon-reload\nuninstalled outrigger;/);
  assert.match(gone, /\noutrigger\.yaml\noutrigger\n$/);
});

test("without a root file system it says how to make one", async () => {
  const done = await install();
  assert.equal(done.code, 2);
  assert.match(done.stderr, /made by: npx node deploy\/image\/rootfs\.ts outrigger/);
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
