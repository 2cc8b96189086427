import assert from "node:assert/strict";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { realPart, skipUnlessIn } from "./real-parts.ts";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "real-parts-"));
  for (const path of ["parts/bin/consul", "home/.cache/outrigger-parts/bin/consul", "path/consul", "path/h2spec"]) {
    await mkdir(join(folder, path, ".."), { recursive: true });
    await writeFile(join(folder, path), "#!/bin/sh\n");
    await chmod(join(folder, path), 0o755);
  }
  await writeFile(join(folder, "path/readme"), "not a program");
});
after(() => rm(folder, { recursive: true }));

test("OUTRIGGER_PARTS goes before the cache folder, and that before PATH", () => {
  const OUTRIGGER_PARTS = join(folder, "parts");
  const HOME = join(folder, "home");
  const PATH = `/nonexistent:${join(folder, "path")}`;
  assert.equal(realPart("consul", { OUTRIGGER_PARTS, HOME, PATH }), join(folder, "parts/bin/consul"));
  assert.equal(realPart("consul", { HOME, PATH }), join(folder, "home/.cache/outrigger-parts/bin/consul"));
  assert.equal(realPart("h2spec", { OUTRIGGER_PARTS, HOME, PATH }), join(folder, "path/h2spec"));
});

test("what is absent, a folder or not executable is no real part", () => {
  const env = { OUTRIGGER_PARTS: folder, HOME: folder, PATH: `${folder}:${join(folder, "path")}` };
  assert.equal(realPart("envoy", env), undefined);
  assert.equal(realPart("parts", env), undefined);
  assert.equal(realPart("readme", env), undefined);
});

test("a test is skipped with the names of the absent parts and the way to install them", () => {
  const env = { OUTRIGGER_PARTS: join(folder, "parts"), PATH: "" };
  assert.deepEqual(skipUnlessIn(env, ["consul"]), { skip: false });
  assert.deepEqual(skipUnlessIn(env, ["consul", "h2load", "nghttpx", "ghz"]), {
    skip: "not installed: h2load, nghttpx, ghz (.ci/real-parts nghttp2 ghz)",
  });
  assert.deepEqual(skipUnlessIn(env, ["go"]), { skip: "not installed: go (https://go.dev/doc/install)" });
  assert.deepEqual(skipUnlessIn(env, ["go", "ghz"]), {
    skip: "not installed: go, ghz (.ci/real-parts ghz, https://go.dev/doc/install)",
  });
});

test("an absent part is an error where REQUIRE_REAL=1", () => {
  const env = { OUTRIGGER_PARTS: join(folder, "parts"), PATH: "", REQUIRE_REAL: "1" };
  assert.deepEqual(skipUnlessIn(env, ["consul"]), { skip: false });
  assert.throws(() => skipUnlessIn(env, ["envoy"]), /REQUIRE_REAL=1, but not installed: envoy/);
});
