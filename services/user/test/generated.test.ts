import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";

const SERVICE = join(import.meta.dirname, "..");
const BIN = join(SERVICE, "..", "..", "node_modules", ".bin");
const env = { ...process.env, PATH: [BIN, process.env.PATH].join(delimiter) };

async function buf(cwd: string, ...args: string[]): Promise<void> {
  await promisify(execFile)(join(BIN, "buf"), args, { cwd, env });
}

async function filesIn(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(
      paths.map(async (path): Promise<[string, string]> => [path.slice(folder.length), await readFile(path, "utf8")]),
    ),
  );
}

describe("the interface", () => {
  it("has generated code that is what its .proto files give: else npm run generate -w services/user", async (t) => {
    const copy = await mkdtemp(join(tmpdir(), "user-api-"));
    t.after(() => rm(copy, { recursive: true }));
    await cp(join(SERVICE, "api"), join(copy, "api"), { recursive: true, filter: (path) => !path.endsWith("/gen") });
    for (const file of ["buf.yaml", "buf.gen.yaml"]) await cp(join(SERVICE, file), join(copy, file));
    await buf(copy, "generate");
    const [generated, committed] = [await filesIn(join(copy, "api/gen")), await filesIn(join(SERVICE, "api/gen"))];
    assert.deepEqual([...committed.keys()].sort(), [...generated.keys()].sort());
    for (const [path, text] of generated) assert.ok(committed.get(path) === text, `${path} is not up to date`);
  });

  it("keeps to buf's rules of style", async () => {
    await buf(SERVICE, "lint");
  });
});
