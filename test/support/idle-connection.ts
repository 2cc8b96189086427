import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";

const frame = (type: number, flags: number, payload = Buffer.alloc(0)): Buffer =>
  Buffer.concat([Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, 0]), payload]);
const GREETING = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0), frame(4, 1)]);
const PING = frame(6, 0, Buffer.from("resource"));
const PONG = frame(6, 1, Buffer.from("resource"));

/** A connection that has exchanged SETTINGS and says nothing more. */
export async function idleConnection(port: number): Promise<Socket> {
  const socket = createConnection({ port, host: "127.0.0.1" });
  await once(socket, "connect");
  socket.write(GREETING);
  await once(socket, "data");
  return socket;
}

/** Resolves once the connection has answered a PING. */
export async function pinged(socket: Socket): Promise<void> {
  socket.write(PING);
  for (let seen = Buffer.alloc(0); !seen.includes(PONG); ) {
    const [chunk] = await once(socket, "data");
    assert.ok(chunk instanceof Buffer);
    seen = Buffer.concat([seen, chunk]);
  }
}
