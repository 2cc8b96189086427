import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DirectorySource } from "../../../src/discovery/directory/directory.ts";
import { DirectoryRegistrar } from "../../../src/discovery/directory/registrar.ts";
import type { Registration } from "../../../src/discovery/source.ts";
import { FakeClock } from "../../support/clock.ts";
import { testServices, until, untilHosts } from "../services.ts";
import { inFolder, put } from "./support.ts";

const registration: Registration = {
  id: "user-127.0.0.1-15006",
  name: "user",
  host: "127.0.0.1",
  port: 15006,
  tags: ["v1"],
  meta: { zone: "a", outrigger: "1.2.3", mtls: "disabled" },
  weight: 1,
};
const file = "user-127.0.0.1-15006.json";

async function withRegistrar(
  body: (setup: {
    folder: string;
    path: string;
    registrar: DirectoryRegistrar;
    clock: FakeClock;
    lines: () => string[];
  }) => Promise<void>,
): Promise<void> {
  await inFolder(async (folder) => {
    const clock = new FakeClock(Date.now());
    const services = testServices(clock);
    const path = join(folder, "mesh");
    const registrar = new DirectoryRegistrar({ path }, services);
    const lines = () => services.lines.map((line) => line.msg);
    await body({ folder, path, registrar, clock, lines });
    const deregistered = registrar.deregister();
    await sleep(20);
    clock.advance(5000);
    await deregistered;
    assert.equal(clock.pending, 0);
  });
}

const read = async (path: string, name = file) => JSON.parse(await readFile(join(path, name), "utf8"));

test("a service is published as not serving, in a file for its owner in a folder for its owner", async () => {
  await withRegistrar(async ({ path, registrar, clock, lines }) => {
    await registrar.register(registration);
    const record = await read(path);
    assert.deepEqual(record.registration, registration);
    assert.equal(record.serving, false);
    assert.equal(record.note, "the application has not answered yet");
    assert.equal(record.heartbeat, clock.wall());
    assert.equal(record.process.pid, process.pid);
    assert.equal((await stat(join(path, file))).mode & 0o777, 0o600);
    assert.equal((await stat(path)).mode & 0o777, 0o700);
    assert.deepEqual(await readdir(path), [file]);
    assert.deepEqual(lines(), [`registered ${registration.id} in ${path}`]);
  });
});

test("a file is as readable as the folder that others have shared", async () => {
  await withRegistrar(async ({ path, registrar }) => {
    await mkdir(path);
    await chmod(path, 0o775);
    await registrar.register(registration);
    assert.equal((await stat(join(path, file))).mode & 0o777, 0o644);
  });
});

test("an id with any character is a file in the folder", async () => {
  await withRegistrar(async ({ path, registrar }) => {
    await registrar.register({ ...registration, id: "../a/b" });
    assert.deepEqual(await readdir(path), ["..%2Fa%2Fb.json"]);
  });
});

test("a change of health is written at once, the note with the next heartbeat", async () => {
  await withRegistrar(async ({ path, registrar, clock }) => {
    await registrar.register(registration);
    registrar.setHealth(true, "SERVING");
    const record = await untilRecord(path, (current) => current.serving === true);
    assert.equal(record.note, "SERVING");
    registrar.setHealth(true, "still SERVING");
    await sleep(50);
    assert.equal((await read(path)).note, "SERVING");
    clock.advance(5000);
    await untilRecord(path, (current) => current.note === "still SERVING");
    registrar.setHealth(false, "connection refused");
    await untilRecord(path, (current) => current.serving === false && current.note === "connection refused");
  });
});

test("heartbeats come within 5 seconds", async () => {
  await withRegistrar(async ({ path, registrar, clock }) => {
    await registrar.register(registration);
    for (let n = 0; n < 3; n++) {
      const { heartbeat } = await read(path);
      clock.advance(5000);
      await untilRecord(path, (current) => Number(current.heartbeat) > heartbeat);
    }
  });
});

test("a file or folder that somebody removed is there again with the next heartbeat", async () => {
  await withRegistrar(async ({ path, registrar, clock }) => {
    await registrar.register(registration);
    await rm(path, { recursive: true });
    clock.advance(5000);
    await untilRecord(path, () => true);
  });
});

test("deregister removes the file, and no heartbeat brings it back", async () => {
  await withRegistrar(async ({ path, registrar, clock, lines }) => {
    await registrar.register(registration);
    registrar.setHealth(true, "SERVING");
    await registrar.deregister();
    assert.deepEqual(await readdir(path), []);
    clock.advance(60_000);
    registrar.setHealth(false, "");
    await sleep(50);
    assert.deepEqual(await readdir(path), []);
    assert.equal(lines().at(-1), `deregistered ${registration.id} from ${path}`);
  });
});

test("deregister leaves the file of another process that has taken the id", async () => {
  await withRegistrar(async ({ path, registrar }) => {
    await registrar.register(registration);
    const record = await read(path);
    await put(path, file, { ...record, process: { ...record.process, pid: 1 } });
    await registrar.deregister();
    assert.deepEqual(await readdir(path), [file]);
  });
});

test("a changed registration takes the place of the old one, under another id too", async () => {
  await withRegistrar(async ({ path, registrar }) => {
    await registrar.register(registration);
    await registrar.register({ ...registration, tags: ["v2"] });
    assert.deepEqual((await read(path)).registration.tags, ["v2"]);
    await registrar.register({ ...registration, id: "other" });
    assert.deepEqual(await readdir(path), ["other.json"]);
  });
});

test("a folder that cannot be written is tried again, with one line", async () => {
  await withRegistrar(async ({ path, registrar, clock, lines }) => {
    await writeFile(path, "in the way");
    let registered = false;
    const done = registrar.register(registration).then(() => {
      registered = true;
    });
    for (let n = 0; n < 3; n++) {
      await sleep(20);
      clock.advance(5000);
    }
    await sleep(20);
    assert.equal(registered, false);
    assert.deepEqual(lines(), [`cannot write into the directory ${path}`]);
    await rm(path);
    clock.advance(5000);
    await done;
    await until(
      () => lines().at(-1),
      (line) => line === `the directory ${path} can be written again`,
    );
  });
});

test("whoever waits for the first registration is released by deregister", async () => {
  await withRegistrar(async ({ path, registrar }) => {
    await writeFile(path, "in the way");
    const done = registrar.register(registration);
    await registrar.deregister();
    await done;
  });
});

test("what a registrar publishes is what a source finds, for as long as it serves", async () => {
  await inFolder(async (path) => {
    const services = testServices();
    const registrar = new DirectoryRegistrar({ path }, services);
    const source = new DirectorySource({ path }, services);
    const { state } = source.subscribe("user");
    await registrar.register(registration);
    await untilHosts(state, []);
    registrar.setHealth(true, "SERVING");
    await untilHosts(state, ["127.0.0.1:15006"]);
    assert.ok(state.current.kind === "known");
    assert.equal(state.current.endpoints[0]?.zone, "a");
    registrar.setHealth(false, "NOT_SERVING");
    await untilHosts(state, []);
    registrar.setHealth(true, "SERVING");
    await untilHosts(state, ["127.0.0.1:15006"]);
    await registrar.deregister();
    await untilHosts(state, []);
    await source.close();
  });
});

async function untilRecord(path: string, isWanted: (record: Record<string, unknown>) => boolean) {
  for (let n = 0; n < 500; n++) {
    const record = await read(path).catch(() => undefined);
    if (record !== undefined && isWanted(record)) return record;
    await sleep(5);
  }
  throw new Error(`no such record in ${path}`);
}
