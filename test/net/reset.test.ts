import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { watchHalfOpen } from "../../src/net/half-open.ts";
import { reset } from "../../src/net/reset.ts";
import { TestCa } from "../support/certificates.ts";
import { FakeClock } from "../support/clock.ts";
import { eventually, inScope, type Scope } from "../support/with-proxy.ts";

const kinds = ["TCP", "TLS", "a unix socket"] as const;

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/** Both ends of a connection of which a half may end. */
async function pairOf(scope: Scope, kind: (typeof kinds)[number]): Promise<Pair> {
  const half = { allowHalfOpen: true };
  const pair = kind === "TLS" ? await issued() : undefined;
  const server =
    pair === undefined ? createServer(half) : createTlsServer({ ...half, cert: pair.certificate, key: pair.key });
  server.listen(
    kind === "a unix socket" ? { path: `\0outrigger-reset-${process.pid}` } : { host: "127.0.0.1", port: 0 },
  );
  await once(server, "listening");
  const at = server.address();
  const near = connect({ ...(typeof at === "string" ? { path: at } : { ...loopback(at) }), ...half });
  const arrived = once(server, pair === undefined ? "connection" : "secureConnection") as Promise<[Socket]>;
  const mine = pair === undefined ? near : connectTls({ socket: near, rejectUnauthorized: false, ...half });
  const [far] = await arrived;
  // Under TLS a greeting shows that the handshake is over for both.
  far.write("x");
  await once(mine, "data");
  for (const one of [mine, far]) one.on("error", () => {}).resume();
  scope.onEnd(() => {
    for (const one of [near, far]) one.destroy();
    server.close();
  });
  return { near: mine, far };
}

function loopback(at: AddressInfo | null): { host: string; port: number } {
  return { host: "127.0.0.1", port: at?.port ?? 0 };
}

async function issued() {
  return await (await TestCa.make()).issue("up");
}

/** How a socket is closed: with the code of its error, or without one. */
function closing(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let code = "in good order";
    socket.on("error", (error: NodeJS.ErrnoException) => (code = error.code ?? ""));
    socket.once("close", () => resolve(code));
  });
}

for (const kind of kinds) {
  test(`${kind}: what is reset is gone, whatever it was about to say`, async () => {
    const before: Record<string, (near: Socket) => unknown> = {
      nothing: () => {},
      "octets that wait": (near) => near.write(Buffer.alloc(8 << 20)),
      "an end that was just said": (near) => near.end("bye"),
      "an end on its way": async (near) => {
        near.end();
        // The end goes to the kernel at the end of this turn, and is there in the next.
        await Promise.resolve();
        await new Promise((resolve) => process.nextTick(resolve));
      },
      "an end that has left": async (near) => {
        near.end();
        await once(near, "finish");
      },
    };
    for (const [what, say] of Object.entries(before))
      await inScope(async (scope) => {
        const { near, far } = await pairOf(scope, kind);
        const mine = closing(near);
        await say(near);
        reset(near);
        assert.equal(await mine, "in good order", what);
        // The other side knows at once where it reads, and where its reader has seen an end as soon as it writes.
        const theirs = closing(far);
        far.write("y");
        await turn();
        far.write("z");
        const code = await theirs;
        if (kind !== "a unix socket") assert.match(code, /^(ECONNRESET|EPIPE)$/, what);
      });
  });

  test(`${kind}: of a connection that is half open it is noticed that its peer is gone`, async () => {
    await inScope(async (scope) => {
      const { near, far } = await pairOf(scope, kind);
      const clock = new FakeClock();
      watchHalfOpen(far, clock);
      assert.equal(clock.pending, 0, "one that is whole costs nothing");
      const ended = once(far, "end");
      near.end();
      await ended;
      const said: Buffer[] = [];
      near.on("data", (chunk: Buffer) => said.push(chunk));
      for (let n = 0; n < 3; n++) clock.advance(5000);
      far.write("still here");
      await eventually(
        () => said.length > 0,
        () => "the open half goes on",
      );
      assert.equal(Buffer.concat(said).toString(), "still here", "looking says nothing to the peer");
      const gone = closing(far);
      reset(near);
      await eventually(
        () => {
          clock.advance(5000);
          return far.closed;
        },
        () => "it is noticed",
      );
      assert.match(await gone, /^(EPIPE|ECONNRESET)$/);
      assert.equal(clock.pending, 0);
    });
  });

  test(`${kind}: of one whose open half ends nothing is left`, async () => {
    await inScope(async (scope) => {
      const { near, far } = await pairOf(scope, kind);
      const clock = new FakeClock();
      watchHalfOpen(far, clock);
      const ended = once(far, "end");
      near.end();
      await ended;
      const gone = closing(far);
      far.end("bye");
      assert.equal(await gone, "in good order");
      assert.equal(clock.pending, 0);
    });
  });
}
