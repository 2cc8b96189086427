import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { test } from "node:test";
import { Http1Agent } from "../../../src/cluster/pool/http1-agent.ts";

test("a request never goes out on an idle connection that was destroyed in the same turn", async () => {
  const server = createServer((_request, response) => void response.end("done"));
  server.listen(0, "127.0.0.1").unref();
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const agent = new Http1Agent();
  const dial = async (): Promise<Socket> => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
  };
  const ask = async (socket?: Socket): Promise<number | undefined> => {
    agent.offer(socket);
    const request = httpRequest({ agent, method: "POST" });
    request.end();
    const [answer] = (await once(request, "response")) as [IncomingMessage];
    const freed = once(answer.socket, "free");
    answer.resume();
    await freed;
    return answer.statusCode;
  };
  const sockets = await Promise.all([dial(), dial(), dial()]);
  assert.deepEqual(await Promise.all(sockets.map(ask)), [200, 200, 200]);
  const [first, ...others] = sockets.toSorted(
    (one, other) => Number(one === agent.idle) - Number(other === agent.idle),
  );
  for (const socket of others) agent.letGo(socket);
  assert.equal(agent.idle, first);
  assert.equal(await ask(), 200);
  assert.equal(agent.idle, first);
  if (first !== undefined) agent.letGo(first);
  assert.equal(agent.hasIdle, false);
  // Nor does one that is gone stand in the way of one that was made for it.
  assert.equal(await ask(await dial()), 200);
  agent.destroyIdle();
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});
