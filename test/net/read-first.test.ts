import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { readBeforeBreaking } from "../../src/net/read-first.ts";

/** What came of a request whose server said something after the first octets of its body, and reset the connection. */
async function told(said: string, reads: boolean): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [[accepted]] = (await Promise.all([once(server, "connection"), once(socket, "connect")])) as [
    [Socket],
    unknown,
  ];
  const made: ClientRequest = request({ method: "POST", createConnection: () => socket });
  let answer: IncomingMessage | undefined;
  if (reads) readBeforeBreaking(socket, (error) => void (answer?.complete === false && answer.destroy(error)));
  const outcome = new Promise<string>((resolve) => {
    made.on("error", (error) => resolve(`lost: ${error.message}`));
    made.on("response", (incoming) => {
      answer = incoming;
      let body = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (text: string) => {
        body += text;
      });
      incoming.on("error", (error) => resolve(`lost: ${error.message}`));
      incoming.on("end", () => resolve(`${incoming.statusCode} ${body}`));
    });
  });
  made.write("first");
  await once(accepted, "data");
  // All in one turn: by the time the second part is written nobody has read the answer.
  if (said !== "") accepted.write(said);
  accepted.resetAndDestroy();
  made.write(Buffer.alloc(100_000));
  const came = await outcome;
  if (!socket.closed) await once(socket, "close");
  server.close();
  return came;
}

test("an answer that came before a write failed is read, and one that is not known to be whole is lost", async () => {
  const answer = "HTTP/1.1 413 Content Too Large\r\n";
  const whole = `${answer}content-length: 8\r\n\r\ntoo much`;
  assert.match(await told(whole, false), /^lost: write E/, "without it Node drops the answer");
  assert.equal(await told(whole, true), "413 too much");
  assert.equal(await told(`${answer}connection: close\r\ncontent-length: 8\r\n\r\ntoo much`, true), "413 too much");
  for (const cut of [`${answer}content-length: 80\r\n\r\ntoo much`, `${answer}\r\ntoo much`])
    assert.match(await told(cut, true), /^lost: write E/);
  assert.equal(await told("", true), "lost: socket hang up");
});
