import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { runProcess } from "./process.ts";
import { saveResult } from "./results.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "results-"));
  const results = JSON.stringify(join(import.meta.dirname, "results.ts"));
  await writeFile(
    join(folder, "long.ts"),
    `import { runLong } from ${results};
     await runLong("soak", async ({ short, seed, say }) => {
       say("working");
       if (seed === 7 && !short) return { calls: 900, missed: ["900 of 1000"] };
       if (seed === 13) throw new Error("leaked a stream");
       return { calls: short ? 10 : 1000 };
     }, ${JSON.stringify(folder)});`,
  );
});
after(() => rm(folder, { recursive: true }));

const long = (...args: string[]) => runProcess(process.execPath, [join(folder, "long.ts"), ...args]);

test("a result is saved with its date, commit and environment", async () => {
  const path = await saveResult("some-run", { calls: 5 }, folder);
  const saved = Object(JSON.parse(await readFile(path, "utf8")));
  assert.equal(path, join(folder, "some-run.json"));
  assert.equal(saved.name, "some-run");
  assert.deepEqual(saved.figures, { calls: 5 });
  assert.match(saved.commit, /^[0-9a-f]{40}\+?$|^unknown$/);
  assert.ok(Math.abs(Date.parse(saved.date) - Date.now()) < 60_000);
  assert.equal(saved.environment.node, process.version);
  assert.ok(saved.environment.cores >= 1);
});

test("a result's name cannot lead out of the folder", async () => {
  await assert.rejects(saveResult("../x", {}, folder), /kebab-case/);
});

test("a short run passes and saves nothing, a full one saves its figures", async () => {
  const short = await long("--short");
  assert.equal(short.code, 0);
  assert.match(short.stdout, /short run, seed 1\n.*working\n.*passed {"calls":10}\n$/);
  assert.ok(!(await readdir(folder)).includes("soak.json"));

  const full = await long("--seed", "8");
  assert.equal(full.code, 0);
  const saved = Object(JSON.parse(await readFile(join(folder, "soak.json"), "utf8")));
  assert.equal(saved.figures.seed, 8);
  assert.equal(saved.figures.calls, 1000);
});

test("a bar that was not met ends with 1, and its figures are saved all the same", async () => {
  const run = await long("--seed", "7");
  assert.equal(run.code, 1);
  assert.match(run.stdout, /missed {"calls":900,"missed":\["900 of 1000"\]}/);
  const saved = Object(JSON.parse(await readFile(join(folder, "soak.json"), "utf8")));
  assert.deepEqual(saved.figures.missed, ["900 of 1000"]);
});

test("a long test that throws ends with 1 and tells its seed", async () => {
  const run = await long("--short", "--seed", "13");
  assert.equal(run.code, 1);
  assert.match(run.stdout, /failed \(again with --seed 13\)/);
  assert.match(run.stderr, /leaked a stream/);
});

test("a seed that is no whole number is refused", async () => {
  const run = await long("--seed", "x");
  assert.equal(run.code, 1);
  assert.match(run.stderr, /--seed takes a whole number, not "x"/);
});
