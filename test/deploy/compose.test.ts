import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { loadConfig } from "../../src/config/load.ts";
import { at, type Json, listAt, textAt } from "../../src/kubernetes/json-patch.ts";
import { readDockerfile } from "../support/dockerfile.ts";
import { runProcess } from "../support/process.ts";
import { requirePart, skipUnless } from "../support/real-parts.ts";

const folder = join(import.meta.dirname, "..", "..", "deploy");

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly volumes?: readonly string[];
  readonly depends_on?: readonly string[] | Readonly<Record<string, unknown>>;
  readonly network_mode?: string;
  readonly ports?: readonly string[];
}

const text = readFileSync(join(folder, "docker-compose.yaml"), "utf8");
const services: Readonly<Record<string, Service>> = parse(text, { merge: true }).services;

test("every file that the composition mounts or builds from is there", () => {
  for (const [name, { volumes = [], build }] of Object.entries(services)) {
    for (const volume of volumes) {
      const source = volume.split(":")[0] ?? "";
      if (source.startsWith("./")) assert.ok(existsSync(join(folder, source)), `${name}: ${source}`);
    }
    if (build !== undefined) assert.ok(existsSync(join(folder, build.context, build.dockerfile)), name);
  }
});

test("every configuration of a sidecar in it loads", () => {
  const mounted = Object.values(services)
    .flatMap(({ volumes = [] }) => volumes)
    .filter((volume) => volume.includes(":/etc/outrigger/outrigger.yaml"))
    .map((volume) => volume.split(":")[0] ?? "");
  assert.deepEqual([...new Set(mounted)].sort(), ["./compose/caller.yaml", "./compose/user.yaml"]);
  for (const file of new Set(mounted)) {
    const loaded = loadConfig(readFileSync(join(folder, file), "utf8"), { file, env: {} });
    assert.ok(loaded.ok, JSON.stringify(loaded));
  }
});

test("what one waits for is there, and each replica has a sidecar in its own network", () => {
  for (const [name, { depends_on: needs = [], network_mode: network }] of Object.entries(services)) {
    for (const need of Array.isArray(needs) ? needs : Object.keys(needs)) assert.ok(services[need], `${name}: ${need}`);
    if (network !== undefined) assert.equal(network, `service:${name.replace("-sidecar", "")}`);
  }
  assert.equal(Object.keys(services).filter((name) => /^user-\d-sidecar$/.test(name)).length, 3);
});

const guard = skipUnless("container-files");

/** What the libraries of the engines make of a file: `docker compose` and BuildKit read it by them. */
async function readByEngine(kind: "compose" | "dockerfile", file: string): Promise<Json> {
  const read = await runProcess(requirePart("container-files"), [kind, file], { timeout: 60_000 });
  assert.equal(read.code, 0, read.stderr);
  return JSON.parse(read.stdout);
}

test(
  "docker compose's own library loads the composition, with all that the surroundings of a mesh need",
  guard,
  async () => {
    const loaded = at(await readByEngine("compose", join(folder, "docker-compose.yaml")), "services");
    assert.deepEqual(Object.keys(Object(loaded)).sort(), Object.keys(services).sort());
    const images = Object.keys(services).map((name) => textAt(loaded, name, "image")?.replace(/^.*\/|:[^:]*$/g, ""));
    for (const part of ["consul", "redis", "postgres", "prometheus", "all-in-one", "grafana"])
      assert.ok(images.includes(part), part);
    for (const part of ["elasticsearch", "logstash", "kibana", "filebeat"]) assert.ok(images.includes(part), part);
    assert.equal(images.filter((image) => image === "outrigger-user").length, 3);
    assert.equal(images.filter((image) => image === "outrigger").length, 4);
  },
);

test(
  "BuildKit's own parser and linter have nothing to say against the Dockerfiles, and read in them what our tests do",
  guard,
  async () => {
    for (const name of readdirSync(join(folder, "image")).filter((file) => file.endsWith(".Dockerfile"))) {
      const file = join(folder, "image", name);
      const read = await readByEngine("dockerfile", file);
      assert.deepEqual(at(read, "warnings"), [], name);
      assert.deepEqual(
        listAt(read, "stages").map((stage) => at(stage, "instructions")),
        readDockerfile(readFileSync(file, "utf8")).stages,
        name,
      );
    }
  },
);

test("those libraries do find what is wrong", guard, async () => {
  const place = await mkdtemp(join(tmpdir(), "container-files-"));
  const refused = async (kind: string, text: string): Promise<string> => {
    const file = join(place, kind);
    await writeFile(file, text);
    const read = await runProcess(requirePart("container-files"), [kind, file], { timeout: 60_000 });
    return read.code === 0 ? read.stdout : read.stderr;
  };
  try {
    assert.match(await refused("compose", "name: x\nservices: { a: { image: b, restarts: always } }\n"), /restarts/);
    assert.match(
      await refused("compose", "name: x\nservices: { a: { image: b, depends_on: [c] } }\n"),
      /undefined service/,
    );
    assert.match(await refused("dockerfile", "FROM scratch\nCOPPY a b\n"), /COPPY/);
    assert.match(await refused("dockerfile", "FROM scratch as x\n"), /FromAsCasing/);
  } finally {
    await rm(place, { recursive: true });
  }
});

test("nothing is published beyond the machine", () => {
  for (const [name, { ports = [] }] of Object.entries(services))
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name);
});
