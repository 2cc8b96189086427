import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { freePort, freePorts } from "./ports.ts";

test("free ports are different and can be bound", async () => {
  const ports = await freePorts(20);
  assert.equal(new Set(ports).size, 20);
  const server = createServer().listen(ports[0], "127.0.0.1");
  await once(server, "listening");
  server.close();
  assert.ok((await freePort()) > 0);
});
