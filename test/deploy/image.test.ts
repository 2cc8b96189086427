import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { sizeOf, writeRootfs } from "../../deploy/image/rootfs.ts";
import { version } from "../../src/core/version.ts";
import { runProcess, startProcess } from "../support/process.ts";

// What the Dockerfiles put into an empty image, unpacked and entered without a container engine.

const root = process.getuid?.() === 0;
const skip = root ? false : "only root may change its root directory";
const images = join(import.meta.dirname, "..", "..", "deploy", "image");
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "image-"));
  for (const name of ["outrigger", "user"]) await writeRootfs(name, join(folder, name));
});
after(() => rm(folder, { recursive: true }));

const inside = (name: string, id: number, args: readonly string[]): string[] => [
  `--userspec=${id}:${id}`,
  join(folder, name),
  `/usr/bin/${name}`,
  ...args,
];

test("an image holds its program, Node and what Node needs, and no shell", () => {
  for (const name of ["outrigger", "user"]) {
    assert.deepEqual(readdirSync(join(folder, name, "usr", "bin")).sort(), ["node", name].sort());
    assert.ok(!existsSync(join(folder, name, "bin")));
    assert.ok(existsSync(join(folder, name, "usr", "lib", name, "THIRD-PARTY-NOTICES.txt")));
    // Node alone has 116 MB; a package that slipped in as a whole would show.
    assert.ok(sizeOf(join(folder, name)) < 150 * 2 ** 20, `${sizeOf(join(folder, name))}`);
  }
});

test("the Dockerfiles build from the same script, run as the users that the image knows, and are empty otherwise", () => {
  for (const [name, id] of [
    ["outrigger", 15001],
    ["user", 15002],
  ] as const) {
    const text = readFileSync(join(images, `${name}.Dockerfile`), "utf8");
    assert.match(text, new RegExp(`deploy/image/rootfs\\.ts ${name} /rootfs`));
    assert.match(text, new RegExp(`\\nFROM scratch\\nCOPY --from=build /rootfs /\\nUSER ${id}:${id}\\n`));
    assert.match(text, new RegExp(`ENTRYPOINT \\["/usr/bin/${name}"\\]`));
    assert.match(readFileSync(join(folder, name, "etc", "passwd"), "utf8"), new RegExp(`^${name}:x:${id}:${id}:`, "m"));
  }
});

test("the sidecar starts in it as an unprivileged user, gets ready and drains", { skip }, async () => {
  const said = await runProcess("chroot", inside("outrigger", 15001, ["--version"]), { timeout: 60_000 });
  assert.equal(said.stdout, `outrigger ${version}\n`);
  const config =
    "listeners: { outbound: 127.0.0.1:0, admin: 127.0.0.1:0, probe: 127.0.0.1:0 }\ndrain: { notice: 0s, grace: 1s }\n";
  const sidecar = await startProcess("chroot", inside("outrigger", 15001, ["run", "-c", "-"]), { input: config });
  await sidecar.line(/^outrigger ready .*outbound=127\.0\.0\.1:\d+/, 30_000);
  sidecar.signal("SIGTERM");
  assert.equal((await sidecar.exited).code, 0);
});

test("the user service starts in its image", { skip }, async () => {
  const service = await startProcess("chroot", inside("user", 15002, ["--listen", "127.0.0.1:0"]));
  await service.line(/^user ready .*address=127\.0\.0\.1:\d+/, 30_000);
  service.signal("SIGTERM");
  assert.equal((await service.exited).code, 0);
});
