import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema, MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";
import { pino } from "pino";
import { DescriptorFile } from "../../../src/proxy/retry/descriptor-file.ts";
import { IdempotentMethods } from "../../../src/proxy/retry/idempotent-methods.ts";
import { FakeClock } from "../../support/clock.ts";

const set = create(FileDescriptorSetSchema, {
  file: [
    {
      name: "shop.proto",
      package: "shop.v1",
      service: [
        {
          name: "Shop",
          method: [
            { name: "Look", options: { idempotencyLevel: Level.NO_SIDE_EFFECTS } },
            { name: "Gaze", serverStreaming: true, options: { idempotencyLevel: Level.NO_SIDE_EFFECTS } },
            { name: "Set", options: { idempotencyLevel: Level.IDEMPOTENT } },
            { name: "Buy", options: { idempotencyLevel: Level.IDEMPOTENCY_UNKNOWN } },
            { name: "Sell" },
          ],
        },
      ],
    },
    { name: "bare.proto", service: [{ name: "Bare", method: [{ name: "Get", options: { idempotencyLevel: 1 } }] }] },
  ],
});

test("methods are idempotent that say so in a descriptor set, or in the configuration, and no others", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-descriptors-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "shop.binpb");
  await writeFile(path, toBinary(FileDescriptorSetSchema, set));
  const file = new DescriptorFile(path, pino({ level: "silent" }), new FakeClock());
  t.after(() => file.close());
  const methods = new IdempotentMethods(["shop.v1.Till/*", "shop.v1.Shop/Sell", "shop.v1.Shop/Set"], file);
  assert.equal(methods.of("/shop.v1.Shop/Look"), undefined, "before it was read nothing is known");
  await file.read;
  assert.equal(methods.of("/shop.v1.Shop/Look")?.proof, `the method's idempotency_level is NO_SIDE_EFFECTS in ${path}`);
  assert.match(file.of("/shop.v1.Shop/Set")?.proof ?? "", /is IDEMPOTENT in/);
  assert.match(methods.of("/Bare/Get")?.proof ?? "", /NO_SIDE_EFFECTS/);
  assert.equal(methods.of("/shop.v1.Shop/Buy"), undefined);
  const single = ["Look", "Gaze", "Set", "Sell"].map((name) => methods.of(`/shop.v1.Shop/${name}`)?.single);
  assert.deepEqual(single, [true, false, true, false], "which are known to answer with one message");
  for (const path of ["/shop.v1.Shop/Set", "/shop.v1.Shop/Sell", "/shop.v1.Till/Open"])
    assert.equal(methods.of(path)?.proof, "the configuration declares the method idempotent");
  assert.equal(methods.of("/shop.v1.TillRoll/Open"), undefined);
});

test("a file that is missing or is none makes nothing idempotent, and the log says so", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-descriptors-"));
  t.after(() => rm(folder, { recursive: true }));
  const broken = join(folder, "broken.binpb");
  await writeFile(broken, "this is no descriptor set");
  for (const path of [broken, join(folder, "missing.binpb")]) {
    const lines: string[] = [];
    const log = pino({ level: "warn" }, { write: (line: string) => void lines.push(line) });
    const file = new DescriptorFile(path, log, new FakeClock());
    t.after(() => file.close());
    await file.read;
    assert.equal(file.of("/shop.v1.Shop/Look"), undefined);
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? "", /descriptors cannot be read/);
  }
});
