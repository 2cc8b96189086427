import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { version } from "../src/core/version.ts";
import { type Completed, runProcess } from "./support/process.ts";

const main = join(dirname(dirname(fileURLToPath(import.meta.url))), "src", "main.ts");

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "outrigger-cli-"));
});
after(() => rm(folder, { recursive: true }));

/** Runs a command line to its end, in an empty folder unless another is named. */
function outrigger(args: readonly string[], options: { input?: string; cwd?: string } = {}): Promise<Completed> {
  return runProcess(process.execPath, [main, ...args], { cwd: folder, timeout: 120_000, ...options });
}

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
  return path;
}

const good = `
service: { name: user, address: "127.0.0.1:50051" }
upstreams:
  orders: { discovery: static, endpoints: ["127.0.0.1:7001"], timeout: 2s }
`;
const broken = `
upstreams:
  orders:
    balancer: leastRequests
    timeout: soon
    discovery: static
    endpoints: ["127.0.0.1:7001"]
`;

test("it tells its version and how it is used, and without a command that is an error", async () => {
  const said = await outrigger(["--version"]);
  assert.deepEqual([said.code, said.stdout, said.stderr], [0, `outrigger ${version}\n`, ""]);
  for (const args of [["--help"], []]) {
    const told = await outrigger(args);
    assert.equal(told.code, args.length === 0 ? 2 : 0);
    for (const word of ["run", "check", "print", "schema", "explain", "doctor", "--version", "Exit codes"])
      assert.ok(told.stdout.includes(word), word);
  }
});

test("each command has its own help, which names its options", async () => {
  const options = { run: ["--config"], check: ["--config", "--json"], schema: [] };
  for (const [command, expected] of Object.entries(options)) {
    const told = await outrigger([command, "--help"]);
    assert.equal(told.code, 0);
    const listed = told.stdout.split("\n").filter((line) => line.startsWith("  "));
    assert.deepEqual(
      listed.flatMap((line) => line.match(/--(?:config|json)(?= )/) ?? []),
      expected,
      command,
    );
  }
});

test("a command line that makes no sense ends with 2 and says why, on standard error alone", async () => {
  const cases: [args: string[], why: RegExp][] = [
    [["chek"], /there is no command "chek", did you mean check\?\nSee outrigger --help/],
    [["toString"], /there is no command "toString"/],
    [["check", "--colour"], /outrigger check takes no --colour\nSee outrigger check --help/],
    [["run", "--json"], /outrigger run takes no --json/],
    [["check", "-c", "missing.yaml"], /cannot read missing.yaml: ENOENT/],
    [["run", "-c", "."], /cannot read \.: EISDIR/],
    [["check"], /there is no \.\/outrigger\.yaml and no \/etc\/outrigger\/outrigger\.yaml; name a file with -c FILE/],
  ];
  await Promise.all(
    cases.map(async ([args, why]) => {
      const told = await outrigger(args);
      assert.equal(told.code, 2, args.join(" "));
      assert.match(told.stderr, why);
      assert.equal(told.stdout, "");
    }),
  );
});

/** Runs a command line behind a shell, for what a process cannot be given otherwise; `$@` is the command. */
function outriggerIn(script: string, args: readonly string[]): Promise<Completed> {
  return runProcess("bash", ["-c", script, "bash", process.execPath, main, ...args], { cwd: folder, timeout: 120_000 });
}

test("a reader that has read enough ends nothing, and a result that cannot be written is a failure", async () => {
  const read = await outriggerIn('{ "$@"; echo "code $?" >&2; } | true', ["schema"]);
  assert.deepEqual([read.code, read.stderr], [0, "code 0\n"]);
  const full = await outriggerIn('"$@" >/dev/full', ["schema"]);
  assert.deepEqual(
    [full.code, full.stderr],
    [1, "outrigger: cannot write to standard output: ENOSPC: no space left on device, write\n"],
  );
});

test("what the system refuses to a command is told in one line", async () => {
  const path = join(await file("taken", ""), "ca");
  const told = await outrigger(["ca", "init", "--path", path]);
  assert.deepEqual([told.code, told.stderr], [1, `outrigger: ENOTDIR: not a directory, mkdir '${path}'\n`]);
});

test("check says what was understood of a file that is right", async () => {
  const path = await file("good.yaml", good);
  const told = await outrigger(["check", "-c", path]);
  assert.deepEqual([told.code, told.stderr], [0, ""]);
  assert.match(told.stdout, /good\.yaml: ok/);
  assert.match(told.stdout, /orders: static 127\.0\.0\.1:7001/);
  const json = await outrigger(["check", "--json", "--config", path]);
  const summary = JSON.parse(json.stdout);
  assert.deepEqual(
    [json.code, summary.ok, summary.service.name, summary.upstreams[0].timeout],
    [0, true, "user", "2s"],
  );
});

test("check reports every mistake with its position, and ends with 2", async () => {
  const path = await file("broken.yaml", broken);
  const told = await outrigger(["check", "-c", path]);
  assert.equal(told.code, 2);
  assert.match(told.stdout, /broken\.yaml:4:15: .*\n/);
  assert.match(told.stdout, /did you mean/);
  assert.match(told.stdout, /broken\.yaml:5:14: /);
  const json = await outrigger(["check", "--json", "-c", path]);
  assert.equal(json.code, 2);
  const issues = JSON.parse(json.stdout);
  assert.deepEqual(
    issues.map(({ line, column }: { line: number; column: number }) => [line, column]),
    [
      [4, 15],
      [5, 14],
    ],
  );
});

test("a configuration is read from standard input, and from outrigger.yaml where none is named", async () => {
  const piped = await outrigger(["check", "-c", "-"], { input: good });
  assert.deepEqual([piped.code, piped.stdout.split("\n")[0]], [0, "<stdin>: ok"]);
  const wrong = await outrigger(["check", "-c", "-"], { input: broken });
  assert.equal(wrong.code, 2);
  assert.match(wrong.stdout, /^<stdin>:4:15: /);
  await file("here/outrigger.yaml", good);
  const found = await outrigger(["check"], { cwd: join(folder, "here") });
  assert.deepEqual([found.code, found.stdout.split("\n")[0]], [0, "./outrigger.yaml: ok"]);
});

test("print gives the effective configuration, which is a configuration that gives the same", async () => {
  const path = await file("good.yaml", good);
  const told = await outrigger(["print", "-c", path]);
  assert.deepEqual([told.code, told.stderr], [0, ""]);
  assert.match(told.stdout, /timeout: 2s +# .*good\.yaml:4/);
  assert.match(told.stdout, /grace: 25s +# default/);
  const json = await outrigger(["print", "--json", "-c", path]);
  const again = await outrigger(["print", "--json", "-c", "-"], { input: told.stdout });
  assert.deepEqual([json.code, again.code], [0, 0]);
  assert.equal(typeof JSON.parse(json.stdout), "object");
  assert.deepEqual((await outrigger(["print", "-c", await file("broken.yaml", broken)])).code, 2);
});

test("schema gives the JSON Schema of the file", async () => {
  const told = await outrigger(["schema"]);
  assert.equal(told.code, 0);
  const schema = JSON.parse(told.stdout);
  assert.match(schema.$schema, /json-schema\.org/);
  assert.ok("upstreams" in schema.properties);
});
