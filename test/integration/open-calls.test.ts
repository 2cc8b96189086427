import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { test } from "node:test";
import { offered } from "../runtime/offered.ts";
import { closed, connectTo, echoFrames, httpServer, tcpServer } from "../support/socket-mesh.ts";
import { eventually, inScope, type Scope, type Sidecar, type SidecarConfig } from "../support/with-proxy.ts";

/** A connection with something under way on it. */
interface Open {
  readonly socket: Socket;
  /** Has it go on, and waits until that is seen. Rejects where it does not. */
  readonly goOn: () => Promise<void>;
}

/** Kinds of calls that take a connection of their own; those of HTTP/2 are in mtls/authorization.test.ts. */
const kinds: Readonly<
  Record<string, (scope: Scope) => Promise<{ service: object; open: (at: string) => Promise<Open> }>>
> = {
  "an answer of HTTP/1.1": async (scope) => {
    const answers: ServerResponse[] = [];
    const { address } = await httpServer(scope, (_request, response) => {
      answers.push(response);
      response.write("one");
    });
    return {
      service: { address, protocol: "http1" },
      open: async (at) => {
        const socket = await connectTo(scope, at);
        socket.write("GET / HTTP/1.1\r\nhost: up\r\n\r\n");
        await heard(socket, "one");
        return {
          socket,
          goOn: async () => {
            answers.at(-1)?.write("more");
            await heard(socket, "more");
          },
        };
      },
    };
  },
  "a WebSocket": async (scope) => {
    const { address, server } = await httpServer(scope, () => {});
    server.on("upgrade", echoFrames);
    return {
      service: { address, protocol: "http1" },
      open: async (at) => {
        const socket = await connectTo(scope, at);
        const upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
        socket.write(`GET / HTTP/1.1\r\nhost: up\r\n${upgrade}sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
        await heard(socket, "101 ");
        return {
          socket,
          goOn: async () => {
            // A text frame, masked with zeros (RFC 6455 §5.2).
            socket.write(Buffer.from([0x81, 0x84, 0, 0, 0, 0, ...Buffer.from("more")]));
            await heard(socket, "more");
          },
        };
      },
    };
  },
  "a connection of TCP": async (scope) => {
    const { address } = await tcpServer(scope, (socket) => void socket.pipe(socket));
    return {
      service: { address, protocol: "tcp" },
      open: async (at) => {
        const socket = await connectTo(scope, at);
        const goOn = async (): Promise<void> => {
          socket.write("more");
          await heard(socket, "more");
        };
        await goOn();
        return { socket, goOn };
      },
    };
  },
};

/** Waits for a text; rejects where the connection ends first, or a refusal comes. */
function heard(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let all = "";
    const read = (chunk: Buffer): void => {
      all += chunk.toString("latin1");
      if (all.startsWith("HTTP/1.1 403 ")) ended();
      if (!all.includes(text)) return;
      settle();
      resolve();
    };
    const ended = (): void => {
      settle();
      reject(new Error(`the connection ended after ${JSON.stringify(all)}`));
    };
    const settle = (): void => void socket.off("data", read).off("end", ended).off("close", ended);
    socket.on("data", read).once("end", ended).once("close", ended);
    if (socket.closed) ended();
  });
}

/** A sidecar whose rules are changed to deny everybody while a call is under way. */
async function denied(
  scope: Scope,
  kind: string,
  openCalls: "end" | "finish",
): Promise<{ readonly sidecar: Sidecar; readonly call: Open; readonly again: () => Promise<Open> }> {
  const made = await kinds[kind]?.(scope);
  assert.ok(made !== undefined);
  const config = (deny: readonly object[]): SidecarConfig => ({
    service: { name: "up", ...made.service },
    authorization: { default: "allow", openCalls, deny },
  });
  const sidecar = await scope.sidecar(config([]));
  const call = await made.open(sidecar.inbound);
  const everybody = [{ name: "everybody", addresses: ["127.0.0.0/8"] }];
  assert.equal((await sidecar.runtime.apply(offered(sidecar, config(everybody)))).kind, "applied");
  return { sidecar, call, again: () => made.open(sidecar.inbound) };
}

for (const kind of Object.keys(kinds)) {
  test(`${kind} ends with openCalls: end once the rules would refuse it`, async () => {
    await inScope(async (scope) => {
      const { sidecar, call } = await denied(scope, kind, "end");
      await closed(call.socket);
      await eventually(
        () => sidecar.calls.some(({ reason }) => reason === "AUTHZ_DENIED"),
        () => JSON.stringify(sidecar.calls),
      );
    });
  });

  test(`${kind} goes on with openCalls: finish, and only the next one is refused`, async () => {
    await inScope(async (scope) => {
      const { sidecar, call, again } = await denied(scope, kind, "finish");
      await call.goOn();
      await assert.rejects(again());
      await eventually(
        () => sidecar.calls.filter(({ reason }) => reason === "AUTHZ_DENIED").length === 1,
        () => JSON.stringify(sidecar.calls),
      );
      await call.goOn();
      call.socket.resetAndDestroy();
    });
  });
}
