import assert from "node:assert/strict";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pino } from "pino";
import { MAX_KEY_SET, readKeySet } from "../../../src/identity/jwt/key-set.ts";
import { KeySource } from "../../../src/identity/jwt/key-source.ts";
import { JumpClock } from "../../support/jump-clock.ts";
import { Issuer, KeyServer, keySet } from "../../support/tokens.ts";
import { eventually } from "../../support/with-proxy.ts";

const [one, two] = await Promise.all(["one", "two"].map((id) => Issuer.make(id)));
const log = pino({ level: "silent" });

async function withServer(
  body: (server: KeyServer, source: KeySource, clock: JumpClock, changes: () => number) => Promise<void>,
) {
  assert.ok(one !== undefined);
  const server = await KeyServer.start(keySet(one));
  const clock = new JumpClock();
  let changes = 0;
  const place = { file: undefined, url: server.url, refresh: 60_000, timeout: 1000, ca: undefined };
  const source = new KeySource("accounts", place, { clock, log, random: () => 0.5 }, () => void changes++);
  try {
    await source.refresh();
    await body(server, source, clock, () => changes);
  } finally {
    await source.close();
    await server.stop();
  }
}

const idsOf = ({ keys }: KeySource) => keys?.map(({ kid }) => kid);

test("keys are fetched again after a while, and only other ones are a change", async () => {
  await withServer(async (server, source, clock, changes) => {
    assert.ok(one !== undefined && two !== undefined);
    assert.deepEqual([idsOf(source), changes(), server.asked], [["one"], 1, 1]);
    clock.jump(60_000);
    await eventually(
      () => server.asked === 2,
      () => `a second look: ${server.asked}`,
    );
    await source.refresh();
    assert.equal(changes(), 1);
    server.text = keySet(one, two);
    clock.jump(60_000);
    await eventually(
      () => changes() === 2,
      () => "the change to be noticed",
    );
    assert.deepEqual(idsOf(source), ["one", "two"]);
  });
});

test("the last good keys stay while the issuer fails, hangs, sends others elsewhere or says nonsense", async () => {
  await withServer(async (server, source, _clock, changes) => {
    for (const mode of ["fail", "redirect", "hang"] as const) {
      server.mode = mode;
      await source.refresh();
      assert.deepEqual([idsOf(source), source.problem !== undefined], [["one"], true], mode);
    }
    server.mode = "answer";
    for (const text of ["", "{}", '{"keys":[]}', '{"keys":{}}', " ".repeat(MAX_KEY_SET + 1)]) {
      server.text = text;
      await source.refresh();
      assert.deepEqual([idsOf(source), source.problem !== undefined], [["one"], true]);
    }
    assert.equal(changes(), 1);
    assert.ok(two !== undefined);
    server.text = keySet(two);
    await source.refresh();
    assert.deepEqual([idsOf(source), source.problem], [["two"], undefined]);
  });
});

test("unknown keys have the issuer asked again, but no more often than every 10 s", async () => {
  await withServer(async (server, source, clock) => {
    await source.ask();
    assert.equal(server.asked, 2);
    for (let at = 0; at < 100; at++) assert.equal(source.ask(), undefined);
    assert.equal(server.asked, 2);
    clock.jump(10_000);
    const looks = Array.from({ length: 100 }, async () => await source.ask());
    await Promise.all(looks);
    assert.equal(server.asked, 3);
  });
});

test("keys in a file are read again when it is replaced", async () => {
  assert.ok(one !== undefined && two !== undefined);
  const folder = await mkdtemp(join(tmpdir(), "outrigger-test-"));
  const file = join(folder, "keys.json");
  await writeFile(file, keySet(one));
  const clock = new JumpClock();
  const place = { file, url: undefined, refresh: 60_000, timeout: 1000, ca: undefined };
  const source = new KeySource("accounts", place, { clock, log, random: () => 0.5 }, () => undefined);
  try {
    await source.refresh();
    assert.deepEqual(idsOf(source), ["one"]);
    await writeFile(`${file}.new`, keySet(two));
    await rename(`${file}.new`, file);
    await eventually(
      () => idsOf(source)?.[0] === "two",
      () => `the other key: ${idsOf(source)?.join()}`,
      20_000,
    );
  } finally {
    await source.close();
    await rm(folder, { recursive: true });
  }
});

test("a key set has public keys; other kinds are left out, and a private key in it is an error", () => {
  assert.ok(one !== undefined);
  const read = (...keys: unknown[]) => readKeySet(JSON.stringify({ keys }));
  assert.deepEqual(read(one.jwk, { kty: "oct", k: "c2VjcmV0" }, { kty: "new" }, null, 1), [one.jwk]);
  assert.equal(read({ ...one.jwk, d: "c2VjcmV0" }), "it has a private key");
  assert.equal(read({ kty: "oct", k: "c2VjcmV0" }), "it has no public key");
  assert.equal(read({ ...one.jwk, use: "enc" }), "it has no public key");
  assert.equal(read(...Array.from({ length: 101 }, () => one.jwk)), "it has more than 100 keys");
  assert.equal(readKeySet("null"), "it has no keys");
  assert.equal(readKeySet("{"), "it is no JSON");
});
