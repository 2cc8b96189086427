import assert from "node:assert/strict";
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AnswerCache } from "../../src/discovery/answer-cache.ts";
import type { EndpointSpec } from "../../src/discovery/source.ts";
import { FakeClock } from "../support/clock.ts";
import { type TestServices, testServices, until } from "./services.ts";

const HOUR = 3_600_000;
const endpoint = (port: number): EndpointSpec => ({
  id: `node/orders-${port}@10.0.0.1:${port}`,
  address: { kind: "tcp", host: "10.0.0.1", port },
  weight: 3,
  zone: port === 1 ? "a" : undefined,
  meta: { version: "v1" },
});

interface Setup {
  readonly folder: string;
  readonly path: string;
  readonly clock: FakeClock;
  readonly services: TestServices;
  readonly open: () => AnswerCache;
}

async function withFolder(body: (setup: Setup) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-cache-"));
  const path = join(folder, "cache.json");
  const clock = new FakeClock();
  const services = testServices(clock);
  try {
    await body({ folder, path, clock, services, open: () => new AnswerCache(path, services) });
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("what was remembered is recalled after a restart, with the time of the answer", () =>
  withFolder(async ({ path, clock, services, open }) => {
    const cache = open();
    cache.remember("orders", [endpoint(1), endpoint(2)], clock.wall());
    cache.remember("billing", [endpoint(3)], clock.wall());
    await cache.close();
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const told = clock.wall();
    clock.advance(HOUR);
    const again = open();
    assert.deepEqual(again.recall("orders"), { endpoints: [endpoint(1), endpoint(2)], updatedAt: told });
    assert.equal(again.recall("nobody"), undefined);
    assert.deepEqual(
      services.lines.map(({ msg }) => msg),
      [`2 answers of discovery from before are at hand in ${path}`],
    );
    await again.close();
  }));

test("an answer of more than 24 hours is none, wherever it is", () =>
  withFolder(async ({ clock, open }) => {
    const cache = open();
    cache.remember("old", [endpoint(1)], clock.wall());
    clock.advance(HOUR);
    cache.remember("young", [endpoint(2)], clock.wall());
    await cache.close();
    clock.advance(23 * HOUR + 1);
    const again = open();
    assert.equal(again.recall("old"), undefined);
    assert.ok(again.recall("young"));
    clock.advance(HOUR);
    assert.equal(again.recall("young"), undefined);
    await again.close();
  }));

test("a change is written within a second, and changes that come together are written together", () =>
  withFolder(async ({ path, clock, open }) => {
    const cache = open();
    cache.remember("orders", [endpoint(1)], clock.wall());
    clock.advance(400);
    cache.remember("orders", [endpoint(2)], clock.wall());
    await clock.pass(600);
    const text = await untilWritten(path, "orders-2");
    assert.ok(!text.includes("orders-1@"));
    const first = (await stat(path)).ino;
    // A storm of changes is written every five seconds.
    for (let n = 0; n < 20; n++) {
      cache.remember("orders", [endpoint(3 + n)], clock.wall());
      await clock.pass(200);
    }
    assert.equal((await stat(path)).ino, first);
    await clock.pass(2000);
    await untilWritten(path, "orders-22");
    assert.notEqual((await stat(path)).ino, first);
    await cache.close();
  }));

test("that nothing has changed is written too, for an answer is as old as its confirmation", () =>
  withFolder(async ({ path, clock, open }) => {
    const cache = open();
    cache.remember("orders", [endpoint(1)], clock.wall());
    await clock.pass(1000);
    await untilWritten(path, "orders-1");
    clock.advance(60_000);
    const confirmed = clock.wall();
    cache.remember("orders", [endpoint(1)], confirmed);
    await clock.pass(60_000);
    assert.ok(!(await readFile(path, "utf8")).includes(`${confirmed}`));
    await clock.pass(10 * 60_000);
    await untilWritten(path, `${confirmed}`);
    await cache.close();
  }));

test("a list that became empty is forgotten", () =>
  withFolder(async ({ clock, open }) => {
    const cache = open();
    cache.remember("orders", [endpoint(1)], clock.wall());
    await cache.close();
    const second = open();
    second.remember("orders", [], clock.wall());
    await second.close();
    assert.equal(open().recall("orders"), undefined);
  }));

for (const [what, text, why] of [
  ["that is damaged", '{"outriggerDiscoveryCache":1,"answers":[{"key":"a"', "it is damaged"],
  ["with an answer that is none", '{"outriggerDiscoveryCache":1,"answers":[{"key":"a"}]}', "it is damaged"],
  ["of an older version", '{"outriggerDiscoveryCache":0,"answers":[]}', "it has version 0, not 1"],
  ["of a newer version", '{"outriggerDiscoveryCache":2,"names":{}}', "it has version 2, not 1"],
  ["that a crash has left empty", "\0\0\0\0", "it is empty"],
] as const) {
  test(`a file ${what} is told of once, not used, and replaced`, () =>
    withFolder(async ({ path, clock, services, open }) => {
      await writeFile(path, text, { mode: 0o600 });
      const cache = open();
      assert.equal(cache.recall("a"), undefined);
      assert.deepEqual(
        services.lines.map(({ level, msg }) => [level, msg]),
        [[40, `the discovery cache ${path} is not used: ${why}; it will be replaced`]],
      );
      cache.remember("orders", [endpoint(1)], clock.wall());
      await cache.close();
      assert.ok(open().recall("orders"));
    }));
}

for (const [what, prepare, why] of [
  [
    "a file of somebody else",
    (path: string) => writeFile(path, "service:\n  name: user\n"),
    "it is no discovery cache",
  ],
  ["a folder", (path: string) => mkdir(path), "it is no regular file"],
  [
    "a link",
    async (path: string) => {
      await writeFile(`${path}.other`, "{}");
      await symlink(`${path}.other`, path);
    },
    "it is a link",
  ],
] as const) {
  test(`${what} at the path is told of once, and left alone`, () =>
    withFolder(async ({ folder, path, clock, services, open }) => {
      await prepare(path);
      const before = await stat(path);
      const names = await readdir(folder);
      const cache = open();
      cache.remember("orders", [endpoint(1)], clock.wall());
      await clock.pass(10_000);
      await cache.close();
      assert.deepEqual(
        services.lines.map(({ msg }) => msg),
        [`the discovery cache ${path} is not used: ${why}; it is left alone, and no answers are kept`],
      );
      assert.deepEqual(await readdir(folder), names);
      assert.equal((await stat(path)).mtimeMs, before.mtimeMs);
    }));
}

test("a file that others may write is not believed", () =>
  withFolder(async ({ path, clock, services, open }) => {
    const cache = open();
    cache.remember("orders", [endpoint(1)], clock.wall());
    await cache.close();
    await chmod(path, 0o620);
    assert.equal(open().recall("orders"), undefined);
    assert.match(services.lines.at(-1)?.msg ?? "", /is not used: other users may write it; it will be replaced$/);
  }));

test("nor is one of another user", { skip: process.getuid?.() === 0 ? false : "needs root" }, () =>
  withFolder(async ({ path, clock, services, open }) => {
    const cache = open();
    cache.remember("orders", [endpoint(1)], clock.wall());
    await cache.close();
    await chown(path, 1234, 1234);
    assert.equal(open().recall("orders"), undefined);
    assert.match(services.lines.at(-1)?.msg ?? "", /is not used: it belongs to another user/);
  }),
);

test("a cache that cannot be written is told of once, tried again, and told of when it can", () =>
  withFolder(async ({ folder, clock, services }) => {
    const path = join(folder, "later", "cache.json");
    const cache = new AnswerCache(path, services);
    cache.remember("orders", [endpoint(1)], clock.wall());
    await clock.pass(1000);
    await until(
      () => services.lines.length,
      (count) => count === 1,
    );
    cache.remember("orders", [endpoint(2)], clock.wall());
    await clock.pass(10_000);
    await sleep(20);
    await mkdir(join(folder, "later"));
    await clock.pass(60_000);
    await until(
      () => services.lines.length,
      (count) => count === 2,
    );
    assert.match(services.lines[0]?.msg ?? "", /^cannot write the discovery cache .*ENOENT/);
    assert.equal(services.lines[1]?.msg, `the discovery cache ${path} can be written again`);
    await cache.close();
    assert.deepEqual(await readdir(join(folder, "later")), ["cache.json"]);
  }));

test("of very many names the oldest are forgotten", () =>
  withFolder(async ({ clock, open }) => {
    const cache = open();
    for (let n = 0; n < 2001; n++) cache.remember(`name-${n}`, [endpoint(1)], clock.wall());
    cache.remember("name-1", [endpoint(1)], clock.wall());
    cache.remember("one more", [endpoint(1)], clock.wall());
    await cache.close();
    const again = open();
    assert.deepEqual(
      ["name-0", "name-1", "name-2", "name-3", "one more"].map((name) => again.recall(name) !== undefined),
      [false, true, false, true, true],
    );
    await again.close();
  }));

/** The text of a file once it has this in it. */
async function untilWritten(path: string, wanted: string): Promise<string> {
  for (let tries = 0; tries < 500; tries++) {
    const text = await readFile(path, "utf8").catch(() => "");
    if (text.includes(wanted)) return text;
    await sleep(5);
  }
  throw new Error(`${path} never had ${wanted}`);
}
