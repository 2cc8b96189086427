import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { connect } from "node:tls";
import { MAX_HELLO, serverNameOf } from "../../src/net/client-hello.ts";
import { seededRandom } from "../support/random.ts";

/** The first octets that Node's own client sends for a name. */
async function helloFor(servername: string | undefined, more: object = {}): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const client = connect({
    host: "127.0.0.1",
    port: address.port,
    rejectUnauthorized: false,
    ...(servername === undefined ? {} : { servername }),
    ...more,
  });
  client.on("error", () => {});
  const [socket] = await once(server, "connection");
  const [chunk] = await once(socket, "data");
  client.destroy();
  socket.destroy();
  server.close();
  return chunk;
}

/** The same message in records of so many octets. */
function fragmented(hello: Buffer, size: number): Buffer {
  const body = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const piece = body.subarray(at, at + size);
    const header = Buffer.from([22, 3, 1, 0, 0]);
    header.writeUInt16BE(piece.length, 3);
    records.push(header, piece);
  }
  return Buffer.concat(records);
}

test("the name is read of what a real client sends, of TLS 1.3 and of 1.2", async () => {
  for (const more of [{}, { maxVersion: "TLSv1.2" }, { ALPNProtocols: ["h2", "http/1.1"] }])
    assert.deepEqual(serverNameOf(await helloFor("API.payments.example", more)), {
      kind: "name",
      name: "api.payments.example",
    });
});

test("octet by octet it stays open until the last one, whatever the records are", async () => {
  const whole = await helloFor("api.example");
  for (const size of [60, 100, 16_384]) {
    const octets = fragmented(whole, size);
    for (let length = 0; length < octets.length; length++)
      assert.deepEqual(serverNameOf(octets.subarray(0, length)), { kind: "open" }, `${length} of ${octets.length}`);
    assert.deepEqual(serverNameOf(octets), { kind: "name", name: "api.example" });
    assert.deepEqual(serverNameOf(Buffer.concat([octets, Buffer.alloc(100)])), { kind: "name", name: "api.example" });
  }
});

test("without a name, and for what is no ClientHello, it says so at once", async () => {
  assert.equal(serverNameOf(await helloFor(undefined)).kind, "none");
  for (const text of [
    "GET / HTTP/1.1\r\n",
    "SSH-2.0-x\r\n",
    "\x17\x03\x03\x00\x05hello",
    "\x16\x05\x00\x00\x01x",
    "\x16\x03\x01\x00\x00",
    "\x16\x03\x01\xff\xff",
  ])
    assert.equal(serverNameOf(Buffer.from(text, "latin1")).kind, "none", JSON.stringify(text));
});

test("a ClientHello in a record an octet is not read again and again", async () => {
  assert.equal(serverNameOf(fragmented(await helloFor("api.example"), 1)).kind, "none");
});

test("no more is asked for than a ClientHello may have", () => {
  const huge = Buffer.from([22, 3, 1, 0x40, 0, 1, 1, 0, 0]);
  assert.equal(serverNameOf(huge).kind, "none");
  assert.ok(MAX_HELLO <= 16_384);
});

test("whatever is changed in it, it is read to an end and never beyond", async () => {
  const whole = await helloFor("api.example");
  const random = seededRandom(0x5e11);
  const below = (bound: number): number => Math.floor(random() * bound);
  for (let round = 0; round < 20_000; round++) {
    const octets = Buffer.from(whole);
    for (let flips = 1 + below(4); flips > 0; flips--) octets[below(octets.length)] = below(256);
    const { kind } = serverNameOf(octets.subarray(0, 1 + below(octets.length)));
    assert.ok(["open", "name", "none"].includes(kind));
  }
});
