import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rename, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { DirectorySource } from "../../../src/discovery/directory/directory.ts";
import type { DirectoryRecord } from "../../../src/discovery/directory/record.ts";
import type { Subscription } from "../../../src/discovery/source.ts";
import { discoveryContract } from "../../contracts/discovery.ts";
import { hosts, type LogLine, testServices, until, untilFresh, untilHosts, untilStale } from "../services.ts";
import { inFolder, put, recordOf, SettableClock } from "./support.ts";

discoveryContract("directory", async () => {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-directory-"));
  const services = testServices();
  const away = `${folder}-away`;
  return {
    source: new DirectorySource({ path: folder }, services),
    lines: services.lines,
    publish: async (name, instances) => {
      const files = new Map<string, DirectoryRecord>();
      for (const instance of instances) files.set(`${name}-${instance.port}.json`, await recordOf(name, instance));
      for (const [file, record] of files) await put(folder, file, record);
      for (const file of await readdir(folder)) {
        if (file.startsWith(`${name}-`) && !files.has(file)) await rm(join(folder, file));
      }
    },
    fail: async () => {
      await rename(folder, away);
      // What stands in the way of the folder stands for every reason why it cannot be read.
      await writeFile(folder, "");
    },
    heal: async () => {
      await rm(folder);
      await rename(away, folder);
    },
    held: () => undefined,
    close: () => rm(folder, { recursive: true, force: true }),
  };
});

interface Setup {
  readonly folder: string;
  readonly clock: SettableClock;
  readonly lines: LogLine[];
  readonly orders: Subscription;
  /** Lets the slow poll come round. */
  readonly poll: () => Promise<void>;
}

/** A source with a clock that stands at the present, over a folder with one instance. */
async function withDirectory(body: (setup: Setup) => Promise<void>): Promise<void> {
  await inFolder(async (folder) => {
    await put(folder, "a.json", await recordOf("orders", { host: "127.0.0.1", port: 7001 }));
    const clock = new SettableClock(Date.now());
    const services = testServices(clock);
    const source = new DirectorySource({ path: folder }, services);
    try {
      const orders = source.subscribe("orders");
      await untilHosts(orders.state, ["127.0.0.1:7001"]);
      const poll = async () => {
        clock.advance(2000);
        await sleep(30);
      };
      await body({ folder, clock, lines: services.lines, orders, poll });
    } finally {
      await source.close();
      assert.equal(clock.pending, 0);
    }
  });
}

test("a folder that is not there is made, for its owner only", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "run", "mesh");
    const source = new DirectorySource({ path }, testServices());
    await untilHosts(source.subscribe("orders").state, []);
    assert.equal((await stat(path)).mode & 0o777, 0o700);
    await source.close();
  });
});

test("an instance that does not serve is not used, and is as soon as it does", async () => {
  await withDirectory(async ({ folder, orders }) => {
    const record = await recordOf("orders", { host: "127.0.0.1", port: 7001 });
    await put(folder, "a.json", { ...record, serving: false });
    await untilHosts(orders.state, [], 100);
    await put(folder, "a.json", record);
    await untilHosts(orders.state, ["127.0.0.1:7001"], 100);
  });
});

test("foreign and half-written files are skipped with one line each", async () => {
  await withDirectory(async ({ folder, orders, lines, poll }) => {
    const good = await recordOf("orders", { host: "127.0.0.1", port: 7002 });
    const { registration } = good;
    const files: Record<string, [content: string | object, why: RegExp]> = {
      "half.json": [JSON.stringify(good).slice(0, 100), /it is no JSON$/],
      "empty.json": ["", /it is no JSON$/],
      "null.json": ["null", /it is no record of this version$/],
      "foreign.json": [{ name: "app" }, /it is no record of this version$/],
      "later.json": [{ ...good, outrigger: 2 }, /it is no record of this version$/],
      "nameless.json": [{ ...good, registration: { ...registration, name: "" } }, /no id, name or host$/],
      "portless.json": [{ ...good, registration: { ...registration, port: "80" } }, /registration\.port is no port$/],
      "weightless.json": [{ ...good, registration: { ...registration, weight: 0 } }, /registration\.weight/],
      "tags.json": [{ ...good, registration: { ...registration, tags: [1] } }, /registration\.tags is no list$/],
      "meta.json": [{ ...good, registration: { ...registration, meta: { a: 1 } } }, /registration\.meta is no map/],
      "serving.json": [{ ...good, serving: "yes" }, /serving is no boolean$/],
      "note.json": [{ ...good, note: 1 }, /note is no string$/],
      "process.json": [{ ...good, process: { pid: -1 } }, /process is no/],
      "heartbeat.json": [{ ...good, heartbeat: "now" }, /heartbeat is no time$/],
      "large.json": [`"${"x".repeat(70_000)}"`, /it is too large$/],
    };
    for (const [file, [content]] of Object.entries(files)) await put(folder, file, content);
    await mkdir(join(folder, "folder.json"));
    await symlink(join(folder, "a.json"), join(folder, "link.json"));
    await promisify(execFile)("mkfifo", [join(folder, "pipe.json")]);
    await put(folder, "readme.txt", "not ours");
    for (let n = 0; n < 3; n++) await poll();
    const told = lines.filter((line) => line.level === 40).map((line) => line.msg);
    for (const [file, [, why]] of Object.entries(files)) {
      const mine = told.filter((line) => line.includes(`/${file}: `));
      assert.equal(mine.length, 1, `${file}: ${mine.join("; ")}`);
      assert.match(mine[0] ?? "", why);
    }
    for (const file of ["folder.json", "link.json", "pipe.json"]) {
      assert.equal(told.filter((line) => line.endsWith(`/${file}: it is no regular file`)).length, 1, file);
    }
    assert.equal(told.length, Object.keys(files).length + 3);
    assert.deepEqual(hosts(orders.state.current), ["127.0.0.1:7001"]);
    // They are somebody's: nothing of it is removed.
    assert.equal((await readdir(folder)).length, Object.keys(files).length + 5);
  });
});

test("an instance whose file is being overwritten in place stays", async () => {
  await withDirectory(async ({ folder, orders, poll }) => {
    await writeFile(join(folder, "a.json"), '{"outrigger": 1, "regi');
    await poll();
    assert.deepEqual(hosts(orders.state.current), ["127.0.0.1:7001"]);
    await untilFresh(orders.state);
  });
});

test("an instance without a heartbeat for 15 seconds is gone, and its file is swept", async () => {
  await withDirectory(async ({ folder, orders, lines, poll }) => {
    for (let n = 0; n < 7; n++) await poll();
    assert.deepEqual(hosts(orders.state.current), ["127.0.0.1:7001"]);
    await poll();
    await untilHosts(orders.state, []);
    assert.deepEqual(await readdir(folder), []);
    assert.match(lines.at(-1)?.msg ?? "", /^removed orders-7001: no heartbeat for 1[56] s$/);
  });
});

test("an instance with heartbeats stays for as long as they come", async () => {
  await withDirectory(async ({ folder, clock, orders, poll }) => {
    for (let n = 0; n < 20; n++) {
      if (n % 2 === 0) {
        const record = await recordOf("orders", { host: "127.0.0.1", port: 7001 });
        await put(folder, "a.json", { ...record, heartbeat: clock.wall() });
      }
      await poll();
    }
    assert.deepEqual(hosts(orders.state.current), ["127.0.0.1:7001"]);
  });
});

test("after the machine slept nobody is gone before they had time for a heartbeat", async () => {
  await withDirectory(async ({ folder, clock, orders, poll }) => {
    clock.set(3_600_000);
    for (let n = 0; n < 5; n++) await poll();
    assert.deepEqual(hosts(orders.state.current), ["127.0.0.1:7001"]);
    assert.deepEqual(await readdir(folder), ["a.json"]);
    for (let n = 0; n < 4; n++) await poll();
    await untilHosts(orders.state, []);
  });
});

test("a heartbeat from the future is as wrong as an old one", async () => {
  await withDirectory(async ({ folder, clock, orders }) => {
    const record = await recordOf("orders", { host: "127.0.0.1", port: 7002 });
    await put(folder, "b.json", { ...record, heartbeat: clock.wall() + 60_000 });
    await put(folder, "c.json", await recordOf("orders", { host: "127.0.0.1", port: 7003 }));
    await untilHosts(orders.state, ["127.0.0.1:7001", "127.0.0.1:7003"]);
  });
});

test("an instance whose process has ended is gone and swept, one of another machine is not", async () => {
  await withDirectory(async ({ folder, orders, poll }) => {
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    const record = await recordOf("orders", { host: "127.0.0.1", port: 7002 });
    const mark = { ...record.process, pid: child.pid ?? 0 };
    await put(folder, "b.json", { ...record, process: mark });
    const elsewhere = { ...record.registration, id: "elsewhere", port: 7003 };
    await put(folder, "c.json", { ...record, registration: elsewhere, process: { ...mark, host: "elsewhere" } });
    const container = { ...record.registration, id: "container", port: 7004 };
    await put(folder, "d.json", { ...record, registration: container, process: { ...mark, namespace: "pid:[1]" } });
    await untilHosts(orders.state, ["127.0.0.1:7001", "127.0.0.1:7002", "127.0.0.1:7003", "127.0.0.1:7004"]);
    child.kill("SIGKILL");
    await once(child, "exit");
    await poll();
    await untilHosts(orders.state, ["127.0.0.1:7001", "127.0.0.1:7003", "127.0.0.1:7004"]);
    assert.deepEqual(await readdir(folder), ["a.json", "c.json", "d.json"]);
  });
});

test("a file that was never renamed is swept, one that is being written is not", async () => {
  await withDirectory(async ({ folder, poll }) => {
    const old = new Date(Date.now() - 60_000);
    for (const name of [".b.json.123.tmp", ".foreign.tmp"]) {
      await writeFile(join(folder, name), "");
      await utimes(join(folder, name), old, old);
    }
    await writeFile(join(folder, ".c.json.123.tmp"), "");
    await poll();
    assert.deepEqual(await readdir(folder), [".c.json.123.tmp", ".foreign.tmp", "a.json"]);
  });
});

test("a folder that is replaced by another takes nobody with it who still lives", async () => {
  await withDirectory(async ({ folder, orders, poll }) => {
    await rename(folder, `${folder}-away`);
    await poll();
    assert.match(await untilStale(orders.state), /cannot read the directory .*ENOENT/);
    await rm(`${folder}-away`, { recursive: true });
    await mkdir(folder);
    await put(folder, "b.json", await recordOf("orders", { host: "127.0.0.1", port: 7002 }));
    await poll();
    await untilFresh(orders.state);
    assert.deepEqual(hosts(orders.state.current), ["127.0.0.1:7001", "127.0.0.1:7002"]);
    // The new folder is watched as the old one was.
    await put(folder, "c.json", await recordOf("orders", { host: "127.0.0.1", port: 7003 }));
    await until(
      () => hosts(orders.state.current)?.length,
      (count) => count === 3,
      100,
    );
    for (let n = 0; n < 8; n++) await poll();
    assert.ok(!hosts(orders.state.current)?.includes("127.0.0.1:7001"));
  });
});
