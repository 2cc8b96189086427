import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { parse } from "yaml";
import { sizeOf } from "../../deploy/image/rootfs.ts";
import { version } from "../../src/core/version.ts";
import { at, isObject, type JsonObject } from "../../src/kubernetes/json-patch.ts";
import { configOf, injected, named, pod } from "../kubernetes/pods.ts";
import { assembleImage, type Container, type Image, type PodFacts, startContainer } from "../support/container.ts";
import { namespacesSkip, type Pod, PodNetwork } from "../support/netns.ts";
import { runProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";
import { eventually } from "../support/with-proxy.ts";

// The images, assembled by what their Dockerfiles say, and run as the manifests say, without a container engine.

const root = join(import.meta.dirname, "..", "..");
const all = [
  { name: "outrigger", program: "outrigger", id: 15001, tools: [] },
  // Kubernetes gives capabilities to root only.
  { name: "outrigger-capture", program: "outrigger", id: 0, tools: ["nft"] },
  { name: "user", program: "user", id: 15002, tools: [] },
] as const;
const images = new Map<string, Image>();
let folder: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "image-"));
  await chmod(folder, 0o755);
  for (const { name } of all) images.set(name, assembleImage(name, join(folder, name)));
});
after(() => rm(folder, { recursive: true }));

function image(name: string): Image {
  const found = images.get(name);
  assert.ok(found);
  return found;
}

test("an image is empty but for its program, Node and what Node needs, without a shell, and knows the user that it runs as", () => {
  for (const { name, program, id, tools } of all) {
    const { base, rootfs, user, entrypoint, env } = image(name);
    assert.equal(base, "scratch");
    assert.deepEqual(readdirSync(join(rootfs, "usr", "bin")).sort(), ["node", program, ...tools].sort());
    assert.ok(!existsSync(join(rootfs, "bin")));
    assert.ok(existsSync(join(rootfs, "usr", "lib", program, "THIRD-PARTY-NOTICES.txt")));
    assert.deepEqual(user, { uid: id, gid: id });
    assert.deepEqual(entrypoint, [`/usr/bin/${program}`]);
    assert.deepEqual(env, {});
    assert.match(readFileSync(join(rootfs, "etc", "passwd"), "utf8"), new RegExp(`^\\w+:x:${id}:${id}:`, "m"));
  }
});

test("an image is as large as deploy/README.md says", (t) => {
  const page = readFileSync(join(root, "deploy", "README.md"), "utf8");
  for (const { name } of all) {
    const size = sizeOf(image(name).rootfs) / 2 ** 20;
    t.diagnostic(`${name}: ${size.toFixed(1)} MiB`);
    const [, written] = new RegExp(`^\\| \`${name}\` \\| (\\d+) MiB \\|`, "m").exec(page) ?? [];
    // Node alone has some 110 of them; a package that slipped in as a whole would show, a build without strip may be larger.
    assert.ok(Math.abs(size - Number(written)) < 25, `${name}: ${size} MiB, and ${written} are written down`);
  }
});

const parts = skipUnless("ip", "nft", "grpcurl", "kubelet-prober");
const guard = { skip: parts.skip !== false ? parts.skip : namespacesSkip };

/** A pod of a network of its own; what runs in it is ended with the test. */
async function withPods(t: TestContext, work: (place: Pod, other: Pod) => Promise<void>): Promise<void> {
  const network = await PodNetwork.make();
  t.after(() => network.close());
  await work(await network.pod(), await network.pod());
}

async function run(t: TestContext, place: Pod, of: string, described: JsonObject, facts: PodFacts): Promise<Container> {
  const container = await startContainer(place, image(of), described, facts);
  t.after(() => end(container));
  return container;
}

async function end(container: Container): Promise<void> {
  try {
    container.signal("SIGKILL");
  } catch {
    // It has ended by itself.
  }
  await container.exited;
}

/** The volumes and fields of a pod of the injector, with its configuration where the kubelet would show it. */
async function factsOf(made: JsonObject, place: Pod): Promise<PodFacts> {
  const config = await mkdtemp(join(folder, "config-"));
  await chmod(config, 0o755);
  await writeFile(join(config, "outrigger.yaml"), configOf(made));
  const fields = {
    ...{ "metadata.name": "user-1", "metadata.namespace": "shop", "spec.nodeName": "node-1" },
    ...{ "status.podIP": place.address, "status.hostIP": place.address },
  };
  return { fields, volumes: { "outrigger-config": config } };
}

/** What the kernel says of a container's program. */
function rights(container: Container): Record<string, string> {
  const lines = readFileSync(`/proc/${container.program()}/status`, "utf8").split("\n");
  return Object.fromEntries(lines.map((line) => line.split(/:\s+/, 2)));
}

function mountOf(container: Container, path: string): string {
  const lines = readFileSync(`/proc/${container.program()}/mountinfo`, "utf8").split("\n");
  const found = lines.map((line) => line.split(" ")).findLast((fields) => fields[4] === path);
  assert.ok(found, path);
  return found[5] ?? "";
}

test(
  "the pod of the manifests runs from these images: read-only, as users without rights; calls are answered, and it drains",
  guard,
  (t) =>
    withPods(t, async (place, other) => {
      const deployment: JsonObject = parse(
        readFileSync(join(root, "deploy", "kubernetes", "base", "deployment.yaml"), "utf8"),
      );
      const template = at(deployment, "spec", "template");
      assert.ok(isObject(template));
      const made = injected(template);
      const facts = await factsOf(made, place);
      const started = performance.now();
      const sidecar = await run(t, place, "outrigger", named("initContainers", "outrigger", made), facts);
      await sidecar.line(/^outrigger ready service=user /, 60_000);
      t.diagnostic(`outrigger: ready after ${Math.round(performance.now() - started)} ms`);
      const begun = performance.now();
      const service = await run(t, place, "user", named("containers", "user", made), facts);
      await service.line(/^user ready .*address=127\.0\.0\.1:50051/, 60_000);
      t.diagnostic(`user: ready after ${Math.round(performance.now() - begun)} ms`);

      for (const [container, id] of [
        [sidecar, 15001],
        [service, 15002],
      ] as const) {
        const said = rights(container);
        assert.equal(said.Uid, Array(4).fill(id).join("\t"));
        for (const set of ["CapPrm", "CapEff", "CapBnd", "CapAmb"]) assert.match(said[set] ?? "", /^0+$/, set);
        assert.equal(said.NoNewPrivs, "1");
        assert.match(said.NSpid ?? "", /\t1$/, "number 1 of its own processes");
        assert.match(mountOf(container, "/"), /^ro,/);
      }
      assert.match(mountOf(sidecar, "/etc/outrigger"), /^ro,/);

      // Kubernetes, too, sends calls only once the readiness probe has succeeded.
      assert.deepEqual(at(named("containers", "user", made), "readinessProbe", "grpc"), { port: 15021 });
      await eventually(
        async () =>
          (await other.run([requirePart("kubelet-prober"), "grpc", place.address, "15021"])).stdout.includes(
            '"success"',
          ),
        () => "the pod is ready",
        60_000,
      );
      const ada = JSON.stringify({ user: { email: "ada@example.com", displayName: "Ada" } });
      const called = [`${place.address}:15006`, "user.v1.UserService/CreateUser"];
      const answered = await other.run([requirePart("grpcurl"), "-plaintext", "-max-time", "30", "-d", ada, ...called]);
      assert.equal(answered.code, 0, answered.stderr);
      assert.match(answered.stdout, /"Ada"/);

      service.signal("SIGTERM");
      assert.equal((await service.exited).code, 0, service.stderr());
      sidecar.signal("SIGTERM");
      assert.equal((await sidecar.exited).code, 0, sidecar.stderr());
    }),
);

test("a sidecar may write in the volume that its pod declares for it, and nowhere else", guard, (t) =>
  withPods(t, async (place) => {
    const config = "discovery: { cache: /var/cache/outrigger/cache.json }";
    const volumes = [{ name: "cache", emptyDir: {} }];
    const wanted = { service: "none", config, "volume-mounts": "cache:/var/cache/outrigger:rw" };
    const made = injected(pod(wanted, { volumes }));
    const cache = join(folder, "cache");
    await mkdir(cache);
    // As the kubelet makes an emptyDir.
    await chmod(cache, 0o777);
    const facts = await factsOf(made, place);
    const described = named("initContainers", "outrigger", made);
    const sidecar = await run(t, place, "outrigger", described, {
      ...facts,
      volumes: { ...facts.volumes, cache },
    });
    await sidecar.line(/^outrigger ready /, 60_000);
    assert.match(mountOf(sidecar, "/var/cache/outrigger"), /^rw,/);
    assert.match(mountOf(sidecar, "/"), /^ro,/);
  }),
);

test("a pod with capture: the rules are set by its own image, and the sidecar takes what they redirect", guard, (t) =>
  withPods(t, async (place) => {
    const made = injected(pod({ capture: "enabled" }));
    const facts = await factsOf(made, place);
    const rules = await run(t, place, "outrigger-capture", named("initContainers", "outrigger-capture", made), facts);
    assert.equal((await rules.exited).code, 0, rules.stderr());
    const { stdout } = await place.run(["nft", "list", "ruleset"]);
    assert.match(stdout, /redirect to :15016/);
    assert.match(stdout, /meta skuid 15001 return[\s\S]*redirect to :15011/);

    const sidecar = await run(t, place, "outrigger", named("initContainers", "outrigger", made), facts);
    await sidecar.line(/taking captured inbound connections/, 60_000);
    await sidecar.line(/^outrigger ready service=user /, 60_000);
    // Where captured connections were going it can tell: the native package is in the image.
    assert.doesNotMatch(sidecar.stderr(), /is not known/);
  }),
);

test("an image without arguments does what its Dockerfile says, and says its version", {
  skip: namespacesSkip,
}, async () => {
  for (const name of ["outrigger", "outrigger-capture"]) {
    const { rootfs, entrypoint, user } = image(name);
    const args = [`--userspec=${user.uid}:${user.gid}`, rootfs, ...entrypoint];
    const said = await runProcess("chroot", [...args, "--version"], { timeout: 60_000 });
    assert.equal(said.stdout, `outrigger ${version}\n`);
  }
});
