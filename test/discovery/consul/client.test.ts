import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { systemClock } from "../../../src/core/clock.ts";
import { AnswerBody } from "../../../src/discovery/consul/answer-body.ts";
import { ConsulClient } from "../../../src/discovery/consul/client.ts";
import { ConsulCredentialStore } from "../../../src/discovery/consul/credentials.ts";
import { ConsulError } from "../../../src/discovery/consul/error.ts";
import { FakeClock } from "../../support/clock.ts";
import { until } from "../services.ts";
import { FakeConsul, refuse } from "./fake-consul.ts";
import { consulOptions } from "./support.ts";

const never = new AbortController().signal;
const first = { index: 0n, wait: 1000, margin: 1000, signal: never };

async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-consul-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test("a refused token is read again from its file before the next request", async () => {
  await inFolder(async (folder) => {
    const tokenFile = join(folder, "token");
    await writeFile(tokenFile, "old\n");
    const fake = await new FakeConsul().start();
    fake.script = (request, response) => {
      if (request.token === "new") return false;
      refuse(response, 403, "ACL not found");
      return true;
    };
    // The clock stands still: only the refusal makes it read again.
    const client = new ConsulClient(consulOptions(fake.address, { tokenFile }), new FakeClock());
    try {
      await assert.rejects(client.health("orders", first), (error) => {
        assert.ok(error instanceof ConsulError);
        assert.equal(error.status, 403);
        assert.match(error.message, /^consul at 127\.0\.0\.1:\d+ refuses the token .*ACL not found/);
        return true;
      });
      await writeFile(tokenFile, "new\n");
      await client.health("orders", first);
      assert.deepEqual(
        fake.requests.map((request) => request.token),
        ["old", "new"],
      );
    } finally {
      client.close();
      await fake.stop();
    }
  });
});

test("a changed token file is in force at once, and one that is empty for a moment is not", async () => {
  await inFolder(async (folder) => {
    const tokenFile = join(folder, "token");
    await writeFile(tokenFile, "one");
    const store = new ConsulCredentialStore({ token: undefined, tokenFile, tls: undefined }, false, systemClock);
    let renewals = 0;
    store.onRenewed(() => renewals++);
    const token = async () => (await store.current()).token;
    assert.equal(await token(), "one");
    await writeFile(tokenFile, "two");
    await until(
      () => renewals,
      (count) => count === 1,
    );
    assert.equal(await token(), "two");
    for (const change of [() => writeFile(tokenFile, ""), () => rm(tokenFile), () => writeFile(tokenFile, "two")]) {
      await change();
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.equal(await token(), "two");
    }
    await writeFile(`${tokenFile}.new`, "three");
    await rename(`${tokenFile}.new`, tokenFile);
    await until(
      () => renewals,
      (count) => count === 2,
    );
    assert.equal(await token(), "three");
    store.close();
  });
});

test("a query that waits for a change ends when the token changes, and the next one goes out with the new one", async () => {
  await inFolder(async (folder) => {
    const tokenFile = join(folder, "token");
    await writeFile(tokenFile, "old");
    const fake = await new FakeConsul().start();
    fake.set("orders", [{ host: "127.0.0.1", port: 7001 }]);
    const client = new ConsulClient(consulOptions(fake.address, { tokenFile }), systemClock);
    try {
      const { index } = await client.health("orders", first);
      const blocked = client.health("orders", { ...first, index, wait: 60_000 });
      await Promise.all([
        assert.rejects(blocked, (error) => error instanceof ConsulError && error.isRenewal),
        until(
          () => fake.requests.length,
          (count) => count === 2,
        ).then(() => writeFile(tokenFile, "new")),
      ]);
      await client.health("orders", first);
      assert.deepEqual(
        fake.requests.map((request) => request.token),
        ["old", "old", "new"],
      );
    } finally {
      client.close();
      await fake.stop();
    }
  });
});

test("a token file that was never there is an error that names it, and no request is made", async () => {
  const fake = await new FakeConsul().start();
  const client = new ConsulClient(consulOptions(fake.address, { tokenFile: "/nowhere/token" }), systemClock);
  await assert.rejects(client.health("orders", first), /consul: cannot use \/nowhere\/token: .*ENOENT/);
  assert.equal(fake.requests.length, 0);
  client.close();
  await fake.stop();
});

test("a request that is aborted ends at once, before it is sent too", async () => {
  const fake = await new FakeConsul().start();
  fake.script = () => true;
  const client = new ConsulClient(consulOptions(fake.address), systemClock);
  try {
    const stop = new AbortController();
    const asked = client.health("orders", { ...first, signal: stop.signal });
    setTimeout(() => stop.abort(), 50);
    const begin = performance.now();
    await assert.rejects(asked, ConsulError);
    assert.ok(performance.now() - begin < 500);
    await assert.rejects(client.health("orders", { ...first, signal: stop.signal }), ConsulError);
    assert.equal(fake.requests.length, 1);
  } finally {
    client.close();
    await fake.stop();
  }
});

test("nobody there, a host name that does not exist: the error says so and names the address", async () => {
  const fake = await new FakeConsul().start();
  const gone = fake.address;
  await fake.stop();
  const refused = new ConsulClient(consulOptions(gone), systemClock);
  await assert.rejects(refused.health("orders", first), /^ConsulError: consul at 127\.0\.0\.1:\d+ refuses connections/);
  refused.close();
});

test("an answer larger than the limit fails as soon as it is", () => {
  let failed = 0;
  const body = new AnswerBody(10, () => {
    failed += 1;
  });
  body.write(Buffer.alloc(10));
  assert.equal(body.failure, undefined);
  body.write(Buffer.alloc(1));
  body.write(Buffer.alloc(100));
  assert.equal(failed, 1);
  assert.equal(body.failure, "sent an answer of more than 10 bytes");
  assert.equal(body.text().length, 10);
});

test("multi-byte characters that are cut between two chunks are whole in the text", () => {
  const body = new AnswerBody(100, () => {});
  const bytes = Buffer.from("größe");
  for (const byte of bytes) body.write(Buffer.of(byte));
  assert.equal(body.text(), "größe");
});

for (const [status, text, forgotten] of [
  [404, 'Unknown check ID "service:user-1". Ensure that the check ID is passed, not the check name.', true],
  [404, 'Unknown service ID "user-1". Ensure that the service ID is passed, not the service name.', true],
  [500, 'CheckID "service:user-1" does not have associated TTL', true],
  [500, 'Unknown check "service:user-1"', true],
  [404, "page not found", false],
  [500, "No cluster leader", false],
  [403, "Permission denied: unknown service", false],
] as const) {
  test(`${status} "${text.slice(0, 30)}" means ${forgotten ? "forgotten" : "something else"}`, () => {
    assert.equal(new ConsulError("", { status, detail: text }).isForgotten, forgotten);
  });
}

test("TLS: the agent is checked against the given authority and name, and gets the client's certificate", async () => {
  await inFolder(async (folder) => {
    const run = (...args: string[]) => promisify(execFile)("openssl", args, { cwd: folder });
    const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    await run("req", "-x509", ...ec, "-subj", "/CN=mesh", "-keyout", "ca.key", "-out", "ca.pem");
    for (const [name, host] of [
      ["server", "server.dc1.consul"],
      ["client", "sidecar"],
    ] as const) {
      const subject = ["-subj", `/CN=${host}`, "-addext", `subjectAltName=DNS:${host}`];
      const by = ["-CA", "ca.pem", "-CAkey", "ca.key"];
      await run("req", "-x509", ...ec, ...subject, ...by, "-keyout", `${name}.key`, "-out", `${name}.pem`);
    }
    const pem = (name: string) => readFile(join(folder, name), "utf8");
    const callers: string[] = [];
    const server = createServer(
      { cert: await pem("server.pem"), key: await pem("server.key"), ca: await pem("ca.pem"), requestCert: true },
      (request, response) => {
        const { socket } = request;
        callers.push(
          String(
            "getPeerCertificate" in socket &&
              Object(Reflect.apply(Object(socket).getPeerCertificate, socket, [])).subject?.CN,
          ),
        );
        response.writeHead(200, { "x-consul-index": "7" }).end("[]");
      },
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const path = (name: string) => join(folder, name);
    const tls = {
      ca: path("ca.pem"),
      cert: path("client.pem"),
      key: path("client.key"),
      serverName: "server.dc1.consul",
    };
    const clock = new FakeClock();
    const good = new ConsulClient(consulOptions(address, { tls }), clock);
    const wrongName = new ConsulClient(consulOptions(address, { tls: { ...tls, serverName: "other" } }), clock);
    const noAuthority = new ConsulClient(consulOptions(address, { tls: { ...tls, ca: undefined } }), clock);
    try {
      assert.equal((await good.health("orders", first)).index, 7n);
      assert.deepEqual(callers, ["sidecar"]);
      await assert.rejects(wrongName.health("orders", first), /cannot be asked: .*altnames/i);
      await assert.rejects(noAuthority.health("orders", first), /cannot be asked: .*certificate/);
      // A rotated client certificate is in force without a restart.
      await rename(path("server.pem"), path("client.pem"));
      await rename(path("server.key"), path("client.key"));
      clock.advance(1000);
      await good.health("orders", first);
      assert.deepEqual(callers, ["sidecar", "server.dc1.consul"]);
    } finally {
      for (const client of [good, wrongName, noAuthority]) client.close();
      server.close();
      server.closeAllConnections();
    }
  });
});
