import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { version } from "../src/core/version.ts";
import { type Completed, runProcess, startProcess } from "./support/process.ts";

// What somebody gets who installs a release: the package is packed, with its build, and installed as the dependency
// of a project elsewhere. npm takes the dependencies from its cache, where `npm ci` has put them.

const root = dirname(dirname(fileURLToPath(import.meta.url)));
let folder: string;
let project: string;
let bin: string;

/** As in a shell outside the clone: its node_modules/.bin not in PATH, nothing of the npm that runs this test. */
const env = {
  PATH: (process.env.PATH ?? "")
    .split(delimiter)
    .filter((entry) => !entry.includes("node_modules"))
    .join(delimiter),
  npm_config_local_prefix: undefined,
  NODE_TEST_CONTEXT: undefined,
};

async function succeed(command: string, args: string[], cwd: string, input?: string): Promise<Completed> {
  const options = { cwd, env, timeout: 180_000, ...(input === undefined ? {} : { input }) };
  const run = await runProcess(command, args, options);
  assert.equal(run.code, 0, `${command} ${args.join(" ")}\n${run.stdout}\n${run.stderr}`);
  return run;
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "pack-"));
  project = join(folder, "project");
  bin = join(project, "node_modules", ".bin", "outrigger");
  await mkdir(join(project, "deep", "folder"), { recursive: true });
  await writeFile(join(project, "package.json"), JSON.stringify({ private: true, allowScripts: { node: true } }));
  await succeed("npm", ["pack", "--pack-destination", folder], root);
  const tarball = (await readdir(folder)).find((name) => name.endsWith(".tgz"));
  assert.ok(tarball);
  await succeed("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", join(folder, tarball)], project);
});
after(() => rm(folder, { recursive: true }));

test("a package holds the bundle and what belongs to it, and none of the sources", async () => {
  const installed = join(project, "node_modules", "outrigger");
  assert.deepEqual(await readdir(join(installed, "src")), ["launcher.js"]);
  const dist = (await readdir(join(installed, "dist"))).filter((name) => name !== "chunks");
  assert.deepEqual(dist.sort(), ["THIRD-PARTY-NOTICES.txt", "outrigger.js", "sbom.cdx.json"]);
  assert.deepEqual((await readdir(installed)).sort(), [
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "SECURITY.md",
    "config",
    "dist",
    "docs",
    "package.json",
    "src",
  ]);
  assert.match(await readFile(join(installed, "dist", "THIRD-PARTY-NOTICES.txt"), "utf8"), /^pino \d.*\(MIT\)$/m);
  const bill: { bomFormat: string; components: { name: string; version: string }[] } = JSON.parse(
    await readFile(join(installed, "dist", "sbom.cdx.json"), "utf8"),
  );
  const manifest: { dependencies: Record<string, string> } = JSON.parse(
    await readFile(join(installed, "package.json"), "utf8"),
  );
  assert.equal(bill.bomFormat, "CycloneDX");
  const billed = new Set(bill.components.map(({ name, version: of }) => `${name}@${of}`));
  for (const [name, of] of Object.entries(manifest.dependencies)) assert.ok(billed.has(`${name}@${of}`), name);
});

test("npx runs the installed command from another folder", async () => {
  const run = await succeed("npx", ["--no-install", "outrigger", "--version"], join(project, "deep", "folder"));
  assert.match(run.stdout, new RegExp(`^(outrigger )?${version.replaceAll(".", "\\.")}\n$`));
});

test("the installed command checks a configuration of standard input from any folder", async () => {
  const run = await succeed(bin, ["check", "-c", "-"], "/", "service: { name: user, address: 127.0.0.1:50051 }\n");
  assert.equal(run.stderr, "");
  assert.match(run.stdout, /user/);
});

test("the installed sidecar gets ready, and ends with 0 on SIGTERM", async (t) => {
  const config = [
    "listeners: { outbound: 127.0.0.1:0, admin: 127.0.0.1:0, probe: 127.0.0.1:0 }",
    "drain: { notice: 0s, grace: 1s }",
  ].join("\n");
  const sidecar = await startProcess(bin, ["run", "-c", "-"], { cwd: "/", env, input: config });
  t.after(() => sidecar.kill());
  await sidecar.line(/^outrigger ready .*outbound=127\.0\.0\.1:\d+/);
  assert.deepEqual(await sidecar.stop(), { code: 0, signal: null }, sidecar.stderr());
});
