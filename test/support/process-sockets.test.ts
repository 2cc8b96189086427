import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { isLoopback, socketsOf } from "./process-sockets.ts";

for (const host of ["127.0.0.1", "::1"]) {
  test(`a process's sockets on ${host} are found, with both of their ends`, async (t) => {
    const server = createServer().listen(0, host);
    t.after(() => void server.close());
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const client = connect(address.port, host);
    t.after(() => void client.destroy());
    const [accepted] = await once(server, "connection");
    t.after(() => void accepted.destroy());
    const shown = `${host === "::1" ? "[::1]" : host}:${address.port}`;
    const sockets = await socketsOf(process.pid);
    assert.equal(sockets.filter(({ local, listening }) => listening && local === shown).length, 1);
    assert.equal(sockets.filter(({ local, listening }) => !listening && local === shown).length, 1);
    assert.equal(sockets.filter(({ remote }) => remote === shown).length, 1);
    assert.ok(
      sockets.every(({ local }) => isLoopback(local)),
      JSON.stringify(sockets),
    );
  });
}

test("an address that others can reach is no loopback one", () => {
  for (const address of [
    "0.0.0.0:80",
    "10.0.0.1:80",
    "192.168.127.1:80",
    "[::]:80",
    "[::ffff:10.0.0.1]:80",
    "[fe80:0:0:0:0:0:0:1]:80",
  ])
    assert.ok(!isLoopback(address), address);
  for (const address of ["127.0.0.1:80", "127.1.2.3:80", "[::1]:80", "[::ffff:127.0.0.1]:80"])
    assert.ok(isLoopback(address), address);
});
