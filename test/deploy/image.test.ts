import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { sizeOf, writeRootfs } from "../../deploy/image/rootfs.ts";
import { version } from "../../src/core/version.ts";
import { at, type Json, type JsonObject, listAt, textAt } from "../../src/kubernetes/json-patch.ts";
import { configOf, injected, named, pod } from "../kubernetes/pods.ts";
import { namespacesSkip, type Pod, PodNetwork } from "../support/netns.ts";
import { type RunningProcess, runProcess, startProcess } from "../support/process.ts";
import { skipUnless } from "../support/real-parts.ts";

// What the Dockerfiles put into an empty image, unpacked and entered without a container engine.

const root = process.getuid?.() === 0;
const skip = root ? false : "only root may change its root directory";
const images = join(import.meta.dirname, "..", "..", "deploy", "image");
const all = [
  { name: "outrigger", program: "outrigger", id: 15001, tools: [] },
  // Kubernetes gives capabilities to root only.
  { name: "outrigger-capture", program: "outrigger", id: 0, tools: ["nft"] },
  { name: "user", program: "user", id: 15002, tools: [] },
] as const;
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "image-"));
  for (const { name } of all) await writeRootfs(name, join(folder, name));
});
after(() => rm(folder, { recursive: true }));

const inside = (name: string, id: number, args: readonly string[]): string[] => [
  `--userspec=${id}:${id}`,
  join(folder, name),
  `/usr/bin/${name}`,
  ...args,
];

test("an image holds its program, Node and what Node needs, and no shell", () => {
  for (const { name, program, tools } of all) {
    assert.deepEqual(readdirSync(join(folder, name, "usr", "bin")).sort(), ["node", program, ...tools].sort());
    assert.ok(!existsSync(join(folder, name, "bin")));
    assert.ok(existsSync(join(folder, name, "usr", "lib", program, "THIRD-PARTY-NOTICES.txt")));
    // Node alone has 116 MB; a package that slipped in as a whole would show.
    assert.ok(sizeOf(join(folder, name)) < 150 * 2 ** 20, `${sizeOf(join(folder, name))}`);
  }
});

test("the Dockerfiles build from the same script, run as the users that the image knows, and are empty otherwise", () => {
  for (const { name, program, id } of all) {
    const text = readFileSync(join(images, `${name}.Dockerfile`), "utf8");
    assert.match(text, new RegExp(`deploy/image/rootfs\\.ts ${name} /rootfs`));
    assert.match(text, new RegExp(`\\nFROM scratch\\nCOPY --from=build /rootfs /\\n(#.*\\n)?USER ${id}:${id}\\n`));
    assert.match(text, new RegExp(`ENTRYPOINT \\["/usr/bin/${program}"\\]`));
    assert.match(readFileSync(join(folder, name, "etc", "passwd"), "utf8"), new RegExp(`^\\w+:x:${id}:${id}:`, "m"));
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

const parts = skipUnless("ip", "nft");
const guard = { skip: parts.skip !== false ? parts.skip : namespacesSkip };

test(
  "a pod as the injector makes it, capture and all, works with these images in a network of its own",
  guard,
  async () => {
    const made = injected(pod({ capture: "enabled" }));
    const network = await PodNetwork.make();
    try {
      const place = await network.pod();
      const rules = await container(place, named("initContainers", "outrigger-capture", made), configOf(made));
      assert.equal((await rules.exited).code, 0, rules.stderr());
      const { stdout } = await place.run(["nft", "list", "ruleset"]);
      assert.match(stdout, /redirect to :15016/);
      assert.match(stdout, /meta skuid 15001 return[\s\S]*redirect to :15011/);

      const sidecar = await container(place, named("initContainers", "outrigger", made), configOf(made));
      try {
        await sidecar.line(/taking captured inbound connections/, 30_000);
        await sidecar.line(/^outrigger ready service=user /, 30_000);
      } finally {
        await sidecar.kill();
      }
      // Where captured connections were going it can tell: the native package is in the image.
      assert.doesNotMatch(sidecar.stderr(), /is not known/);
    } finally {
      await network.close();
    }
  },
);

/** A container of a pod, started as its description says: image, arguments, user, and no capability but those it names. */
async function container(place: Pod, described: JsonObject, config: string): Promise<RunningProcess> {
  const [image = ""] = (textAt(described, "image") ?? "").split("/").at(-1)?.split(":") ?? [];
  const rootfs = join(folder, image);
  mkdirSync(join(rootfs, "etc", "outrigger"), { recursive: true });
  writeFileSync(join(rootfs, "etc", "outrigger", "outrigger.yaml"), config);
  const strings = (value: Json): string[] => (typeof value === "string" ? [value] : []);
  const granted = listAt(described, "securityContext", "capabilities", "add")
    .flatMap(strings)
    .map((name) => `+${name.toLowerCase()}`);
  const id = at(described, "securityContext", "runAsUser");
  assert.ok(typeof id === "number");
  // What stands in for the container engine itself has to change its root directory and its user.
  const bounds = ["-all", "+sys_chroot", "+setuid", "+setgid", ...granted].join(",");
  return place.start(
    [
      ...["setpriv", "--bounding-set", bounds, "--inh-caps=-all", "--no-new-privs"],
      ...["chroot", `--userspec=${id}:${id}`, rootfs, "/usr/bin/outrigger"],
      ...listAt(described, "args").flatMap(strings),
    ],
    { env: { HOST_IP: place.address, POD_IP: place.address, PATH: process.env.PATH } },
  );
}
