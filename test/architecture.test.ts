import assert from "node:assert/strict";
import { glob, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  ambientTime,
  cycles,
  importsOf,
  type SourceFile,
  tooLong,
  undocumented,
  upwardEdges,
} from "./support/architecture.ts";
import { runProcess } from "./support/process.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

async function sources(...folders: string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const folder of folders) {
    for await (const path of glob(`${folder}/**/*.{ts,js}`, { cwd: root, exclude: ["**/node_modules/**"] })) {
      files.push({ path, text: await readFile(join(root, path), "utf8") });
    }
  }
  return files;
}

const file = (path: string, text: string): SourceFile => ({ path, text });

test("imports in src/ point downwards only", async () => {
  assert.deepEqual(upwardEdges(await sources("src")), []);
});

test("src/ has no import cycle", async () => {
  assert.deepEqual(cycles(await sources("src")), []);
});

test("no file has more than 500 lines", async () => {
  assert.deepEqual(tooLong(await sources("src", "test", "services", "deploy")), []);
});

test("src/ reads the time through the clock", async () => {
  assert.deepEqual(ambientTime(await sources("src")), []);
});

test("everything that src/ exports has a docstring", async () => {
  assert.deepEqual(undocumented((await sources("src")).filter(({ path }) => !path.includes("/gen/"))), []);
});

test("the user service knows nothing of the sidecar", async () => {
  const service = (await sources("services")).filter(({ path }) => !path.endsWith(".test.ts"));
  assert.deepEqual(
    service.flatMap(importsOf).filter(({ to }) => !to.startsWith("services/")),
    [],
  );
});

test("imports are found in every form, and not in comments or strings", () => {
  const text = `
    import "./a.ts";
    import b, { c } from './b.ts';
    import type { D } from "../d.ts";
    import {
      e,
      type F,
    } from "./e.ts"; // import "./comment.ts";
    import type from "./type.ts";
    export * from "./g.ts";
    export type { H } from "./h.ts";
    import * as fs from "node:fs";
    /* import "./i.ts"; */
    const url = "http://x"; const late = await import("./j.ts");
    type K = typeof import("./k.ts");
    const message = 'import "./string.ts"';
    import manifest from "../../package.json" with { type: "json" };
  `;
  assert.deepEqual(
    importsOf(file("src/net/x.ts", text))
      .map(({ to, typeOnly }) => `${to}${typeOnly ? " type" : ""}`)
      .sort(),
    [
      "package.json",
      "src/d.ts type",
      "src/net/a.ts",
      "src/net/b.ts",
      "src/net/e.ts",
      "src/net/g.ts",
      "src/net/h.ts type",
      "src/net/j.ts",
      "src/net/k.ts type",
      "src/net/type.ts",
    ],
  );
});

test("an import that does not point downwards is found", () => {
  const cases: [path: string, specifier: string, allowed: boolean][] = [
    ["src/main.ts", "./cli.ts", true],
    ["src/cli.ts", "./main.ts", false],
    ["src/cli.ts", "./commands/run.ts", true],
    ["src/cli.ts", "./run.ts", false],
    ["src/commands/run.ts", "../run.ts", true],
    ["src/commands/run.ts", "../cli.ts", false],
    ["src/run.ts", "./cli.ts", false],
    ["src/commands/run.ts", "../control/admin.ts", true],
    ["src/control/admin.ts", "../runtime/runtime.ts", true],
    ["src/control/admin.ts", "../kubernetes/patch.ts", false],
    ["src/kubernetes/patch.ts", "../config/schema.ts", true],
    ["src/kubernetes/patch.ts", "../net/listener.ts", false],
    ["src/runtime/snapshot.ts", "../proxy/inbound.ts", true],
    ["src/runtime/snapshot.ts", "../control/admin.ts", false],
    ["src/config/schema.ts", "../cluster/balancers/index.ts", true],
    ["src/config/schema.ts", "../proxy/inbound.ts", false],
    ["src/proxy/inbound.ts", "../config/schema.ts", false],
    ["src/proxy/inbound.ts", "../filters/chain.ts", true],
    ["src/filters/auth.ts", "../identity/spiffe.ts", true],
    ["src/filters/auth.ts", "../identity/certificates.ts", false],
    ["src/filters/auth.ts", "../cluster/cluster.ts", false],
    ["src/routing/route-table.ts", "../observability/log.ts", false],
    ["src/cluster/cluster.ts", "../discovery/source.ts", true],
    ["src/cluster/cluster.ts", "../routing/route-table.ts", false],
    ["src/discovery/consul/consul.ts", "../../net/connector.ts", false],
    ["src/http2/connection.ts", "../http/headers.ts", true],
    ["src/http2/hpack/decoder.ts", "../frame.ts", true],
    ["src/http/call.ts", "../http2/stream.ts", false],
    ["src/http/call.ts", "../core/clock.ts", true],
    ["src/core/clock.ts", "../http/call.ts", false],
    ["src/core/version.ts", "../../package.json", true],
    ["src/core/clock.ts", "../../test/support/clock.ts", false],
  ];
  for (const [path, specifier, allowed] of cases) {
    for (const text of [`import { x } from "${specifier}";`, `import type { X } from "${specifier}";`]) {
      assert.equal(upwardEdges([file(path, text)]).length, allowed ? 0 : 1, `${path}: ${text}`);
    }
  }
});

test("a folder of src/ that has no layer is found", () => {
  assert.match(String(upwardEdges([file("src/misc/x.ts", "")])), /src\/misc\/x\.ts is in no layer/);
});

test("a cycle is found with its path, and an erased import makes none", () => {
  const a = file("src/core/a.ts", 'import { b } from "./b.ts";');
  const b = file("src/core/b.ts", 'export { c } from "./c.ts";');
  const c = file("src/core/c.ts", 'import { a } from "./a.ts";');
  const erased = file("src/core/c.ts", 'import type { a } from "./a.ts";');
  const self = file("src/core/d.ts", 'import * as d from "./d.ts";');
  assert.deepEqual(cycles([a, b, c]), ["src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts"]);
  assert.deepEqual(cycles([a, b, erased]), []);
  assert.deepEqual(cycles([self]), ["src/core/d.ts -> src/core/d.ts"]);
});

test("a file of 501 lines is found, one of 500 and a generated one are not", () => {
  assert.deepEqual(tooLong([file("src/a.ts", "x\n".repeat(500)), file("src/gen/b.ts", "x\n".repeat(501))]), []);
  assert.match(String(tooLong([file("test/a.test.ts", "x\n".repeat(501))])), /test\/a\.test\.ts has 501 lines/);
});

test("an export without a docstring is found, and what is only passed on needs none", () => {
  const told = "/** Says so. */\nexport function told() {}\n";
  const passedOn = 'export { a } from "./a.ts";\nexport type { B } from "./b.ts";\n';
  assert.deepEqual(undocumented([file("src/a.ts", told + passedOn)]), []);
  assert.deepEqual(undocumented([file("src/a.ts", `${told}\nexport async function untold() {}\n`)]), [
    "src/a.ts:4 exports untold without a docstring",
  ]);
  assert.equal(undocumented([file("src/a.ts", "// no docstring\nexport abstract class A {}\n")]).length, 1);
});

test("new Date() without an argument is found, outside the clock", () => {
  assert.deepEqual(ambientTime([file("src/net/a.ts", "new Date(5); // new Date()")]), []);
  assert.deepEqual(ambientTime([file("src/core/clock.ts", "new Date()")]), []);
  assert.equal(ambientTime([file("src/net/a.ts", "const d = new Date();")]).length, 1);
});

test("lint refuses ambient time, environment and console in src/, with the reason", async () => {
  const ambient: [code: string, reason: string][] = [
    ["Date.now();", "Take a Clock"],
    ["performance.now();", "Take a Clock"],
    ["setTimeout(() => {}, 1);", "Take a Clock"],
    ["setInterval(() => {}, 1);", "Take a Clock"],
    ["setImmediate(() => {});", "Only the flush of an HTTP/2 connection"],
    ["console.log(1);", "Take a Logger"],
    ["export const home = process.env.HOME;", "Take the environment by parameter"],
    ['import { setTimeout as sleep } from "node:timers/promises";\nawait sleep(1);', "Take a Clock"],
  ];
  const folder = await mkdtemp(join(tmpdir(), "lint-"));
  const put = async (path: string, text: string) => {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  };
  try {
    await put(".oxlintrc.json", await readFile(join(root, ".oxlintrc.json"), "utf8"));
    for (const [index, [code]] of ambient.entries()) await put(`src/net/case-${index}.ts`, code);
    await put("src/http2/flush.ts", "setImmediate(() => {});");
    await put("src/http2/timer.ts", "setTimeout(() => {}, 1);");
    await put("src/core/clock.ts", "Date.now();");

    const oxlint = join(root, "node_modules", ".bin", "oxlint");
    const { stdout } = await runProcess(oxlint, ["-c", ".oxlintrc.json", "--format=json", "src"], { cwd: folder });
    const report: unknown = JSON.parse(stdout);
    const findings = [Object(report).diagnostics].flat().map(({ filename, message, help }) => {
      return `${filename}: ${message} ${help}`;
    });

    const expected = [
      ...ambient.map(([, reason], index) => [`src/net/case-${index}.ts`, reason]),
      ["src/http2/timer.ts", "Take a Clock"],
    ];
    for (const [path, reason] of expected) {
      const own = findings.filter((finding) => finding.startsWith(`${path}:`));
      assert.equal(own.length, 1, `one finding in ${path}: ${own.join()}`);
      assert.ok(own[0]?.includes(`${reason}`), `${own[0]} gives the reason`);
    }
    assert.equal(findings.length, expected.length, `nothing else is refused: ${findings.join()}`);
  } finally {
    await rm(folder, { recursive: true });
  }
});
