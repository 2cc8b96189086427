import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { reset } from "../../src/net/reset.ts";
import { freePort } from "../support/ports.ts";
import { httpServer, type SocketMesh, type SocketMeshOptions, socketMesh, tcpServer } from "../support/socket-mesh.ts";
import { http2Client, openWebSocket } from "../support/websocket-http2.ts";
import { eventually, inScope, type LogLine, type Scope, type Sidecar } from "../support/with-proxy.ts";

// What callers of HTTP/1.1, of a WebSocket, of one over HTTP/2 and of TCP read where a sidecar refuses or ends their call, and what its
// log and its metrics say of it: each cause by each protocol, through two sidecars with mTLS and without, to an application and from a
// listener on TCP and on unix sockets. docs/protocols.md says the same.

const kinds = ["HTTP/1.1", "WebSocket", "WebSocket over HTTP/2", "TCP"] as const;
type Kind = (typeof kinds)[number];

const places = ["TCP", "TCP in plaintext", "unix sockets"] as const;

interface Row {
  readonly cause: string;
  readonly upstream?: SocketMeshOptions["upstream"];
  readonly inbound?: SocketMeshOptions["inbound"];
  readonly outbound?: SocketMeshOptions["outbound"];
  /** The application takes a call and leaves it open, refuses it, or is not there. */
  readonly application?: "silent" | "failing" | "gone";
  /** What is done once the first call is under way, which is then the one that ends; by default a second one is refused. */
  readonly meanwhile?: (mesh: SocketMesh) => unknown;
  /** A call is under way already. */
  readonly busy?: true;
  /** As many calls may come first as it takes. */
  readonly until?: true;
  readonly status: number;
  readonly reason: string;
  /** Of TCP, where that is another one. */
  readonly tcp?: string;
  /** The sidecar of the application says it, whom the caller's believes where TLS has shown who it is. */
  readonly by?: "inbound";
}

const rows: readonly Row[] = [
  {
    cause: "too many calls at once",
    upstream: { limits: { maxConcurrent: 1 } },
    application: "silent",
    busy: true,
    status: 429,
    reason: "CONCURRENCY",
  },
  {
    cause: "too many calls in a time",
    outbound: { rateLimits: [{ name: "few", direction: "outbound", key: ["upstream"], limit: "1/m" }] },
    application: "silent",
    busy: true,
    status: 429,
    reason: "RATE_LIMIT",
  },
  {
    cause: "an open circuit breaker",
    upstream: {
      circuitBreaker: { failureRate: "50%", window: "10s", minimumRequests: 5, openFor: "60s" },
      outlierDetection: { mode: "disabled" },
    },
    application: "failing",
    until: true,
    status: 503,
    reason: "CIRCUIT_OPEN",
  },
  {
    cause: "a fault on purpose",
    outbound: { faults: [{ name: "down", match: { upstream: "up" }, abort: "unavailable" }] },
    status: 503,
    reason: "FAULT_INJECTED",
  },
  {
    cause: "a caller who may not call",
    inbound: { authorization: { default: "deny", allow: [{ name: "friends", addresses: ["192.0.2.0/24"] }] } },
    status: 403,
    reason: "AUTHZ_DENIED",
    by: "inbound",
  },
  {
    cause: "no instance",
    upstream: { discovery: "directory", endpoints: undefined },
    status: 503,
    reason: "NO_ENDPOINTS",
  },
  {
    cause: "a sidecar that is gone",
    upstream: { endpoints: [`127.0.0.1:${await freePort()}`] },
    status: 503,
    reason: "CONNECT_REFUSED",
  },
  { cause: "an application that is gone", application: "gone", status: 503, reason: "CONNECT_REFUSED", by: "inbound" },
  {
    cause: "an answer that takes too long",
    upstream: { timeout: "5s" },
    application: "silent",
    meanwhile: ({ outbound }) => outbound.clock.jump(6000),
    status: 504,
    reason: "DEADLINE_POLICY",
    tcp: "IDLE_TIMEOUT",
  },
  {
    cause: "the end of a drain",
    inbound: { drain: { notice: "0s", grace: "100ms" } },
    application: "silent",
    meanwhile: ({ inbound }) => inbound.runtime.drain(),
    status: 503,
    reason: "DRAINING",
    tcp: "UPSTREAM_LOST",
    by: "inbound",
  },
];

/** An application that leaves what comes open, refuses it, or answers; its address. */
async function application(
  scope: Scope,
  kind: Kind,
  path: string | undefined,
  how: Row["application"],
): Promise<string> {
  if (how === "gone") return path === undefined ? `127.0.0.1:${await freePort()}` : `unix:${path}`;
  if (kind !== "TCP") {
    const { address } = await httpServer(
      scope,
      (_request, response) => {
        if (how !== "silent") response.writeHead(how === "failing" ? 503 : 200).end();
      },
      path,
    );
    return address;
  }
  const onSocket = (socket: Socket): void => {
    if (how === "failing") reset(socket);
    else if (how === "silent") socket.resume();
    else socket.pipe(socket);
  };
  return (await tcpServer(scope, onSocket, { path, allowHalfOpen: false })).address;
}

/** Makes a call; resolves with what its caller reads once it has ended. */
async function called(scope: Scope, kind: Kind, address: string): Promise<string> {
  const [host = "", port = ""] = address.split(":");
  const to = host === "unix" ? { path: port } : { host, port: Number(port) };
  if (kind === "TCP") {
    const socket = connect(to);
    scope.onEnd(() => void socket.destroy());
    socket.write("hello");
    socket.resume();
    return await new Promise((resolve) => {
      let how = "end";
      socket.on("error", ({ message }) => {
        how = /ECONNRESET|EPIPE/.test(message) ? "reset" : message;
      });
      socket.once("close", () => resolve(how));
    });
  }
  if (kind === "WebSocket over HTTP/2") {
    const { status, headers } = await openWebSocket(await http2Client(scope, address));
    return answerOf(status, headers["outrigger-reason"]);
  }
  const upgrade = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  const { path: socketPath, ...there } = { path: undefined, ...to };
  const request = httpRequest({
    ...there,
    ...(socketPath === undefined ? {} : { socketPath }),
    path: "/",
    agent: false,
    ...(kind === "WebSocket" ? { headers: upgrade } : {}),
  });
  scope.onEnd(() => void request.destroy());
  request.on("error", () => {});
  request.end();
  const [message] = (await once(request, "response")) as [IncomingMessage];
  message.resume();
  return answerOf(message.statusCode, message.headers["outrigger-reason"]);
}

function answerOf(status: number | undefined, reason: string | readonly string[] = ""): string {
  return `${status} ${reason.toString()}`.trim();
}

/** Every call that ended for a reason is counted under it, by the status that its line has. */
async function checkCounts(sidecar: Sidecar, reason: string | undefined): Promise<void> {
  const lines = sidecar.calls.filter((line) => line.reason === reason);
  const [line] = lines;
  assert.ok(line !== undefined, `a line with ${reason}: ${JSON.stringify(sidecar.calls)}`);
  const { direction, upstream, grpc_status, origin } = line;
  const alike = lines.filter((other) => other.grpc_status === grpc_status && other.origin === origin).length;
  const wanted = { direction, upstream, grpc_status, origin, reason: reason ?? "" };
  const counted = (await sidecar.metrics()).get("outrigger_calls_handled_total")?.samples ?? [];
  const sum = counted
    .filter(({ labels }) => Object.entries(wanted).every(([name, value]) => labels[name] === value))
    .reduce((total, { value }) => total + value, 0);
  assert.equal(sum, alike, `calls that the metrics have with ${JSON.stringify(wanted)}`);
}

function reasonOf({ reason }: LogLine): string | undefined {
  return typeof reason === "string" ? reason : undefined;
}

/** What is to be seen of a row: what the caller reads, and one of the reasons that its sidecar logs and counts. */
function expectationsOf(row: Row, kind: Kind, place: (typeof places)[number]) {
  const isPlain = place === "TCP in plaintext";
  const { status, reason } = row;
  // What a sidecar says is believed only of one: here TLS has to show it.
  const isBelieved = row.by === undefined || !isPlain;
  // A unix socket knows no reset: its reader is told of an end, or, where not all that it had said was read, of a reset.
  const ends = place === "unix sockets" ? /^(end|reset)$/ : /^reset$/;
  if (kind === "TCP") {
    // A reset that comes as soon as the connection stands may be one of its making.
    const logged = isBelieved ? [row.tcp ?? reason] : ["UPSTREAM_LOST", "CONNECT_FAILED"];
    return { answer: ends, logged };
  }
  const answer = new RegExp(`^${status}${isBelieved ? ` ${reason}` : ""}$`);
  return { answer, logged: [isBelieved ? reason : undefined] };
}

for (const place of places)
  for (const kind of kinds)
    test(`${kind} over ${place}: what a caller reads`, async (t) => {
      for (const row of rows)
        await t.test(row.cause, async () => {
          // What is closed on a unix socket has ended in good order: no breaker opens by that.
          if (row.until === true && kind === "TCP" && place === "unix sockets") return;
          await inScope((scope) => check(scope, row, kind, place));
        });
    });

async function check(scope: Scope, row: Row, kind: Kind, place: (typeof places)[number]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-table-"));
  scope.onEnd(() => rm(folder, { recursive: true, force: true }));
  const isUnix = place === "unix sockets";
  const path = isUnix ? join(folder, "app") : undefined;
  const { timeout, ...upstream } = row.upstream ?? {};
  const mesh = await socketMesh(scope, {
    protocol: kind === "TCP" ? "tcp" : "http1",
    applications: [await application(scope, kind, path, row.application)],
    mode: place === "TCP in plaintext" ? "disabled" : "strict",
    service: { health: "none" },
    upstream: {
      ...upstream,
      ...(timeout === undefined ? {} : kind === "TCP" ? { idleTimeout: timeout } : { timeout }),
      ...(isUnix ? { listen: `unix:${join(folder, "up")}` } : {}),
    },
    ...(row.inbound === undefined ? {} : { inbound: row.inbound }),
    outbound: {
      ...row.outbound,
      ...(upstream.discovery === "directory" ? { discovery: { directory: { path: folder } } } : {}),
    },
  });
  const { address, inbound, outbound } = mesh;
  const call = (): Promise<string> => called(scope, kind, address);
  const expected = expectationsOf(row, kind, place);
  let logged = outbound.calls.length;
  if (row.busy !== undefined || row.meanwhile !== undefined) {
    const first = call();
    const underWay = (): boolean =>
      inbound.runtime.listeners.inbound?.side.activeCalls === 1 &&
      (inbound.runtime.application?.cluster.activeCalls ?? 0) === 1;
    await eventually(underWay, () => "a call is under way");
    if (row.meanwhile === undefined) {
      void first.catch(() => {});
      assert.match(await call(), expected.answer);
    } else {
      void row.meanwhile(mesh);
      assert.match(await first, expected.answer);
    }
  } else if (row.until === undefined) assert.match(await call(), expected.answer);
  else {
    let heard = "";
    await eventually(
      async () => {
        logged = outbound.calls.length;
        heard = await call();
        return reasonOf(await outbound.call(logged)) === row.reason;
      },
      () => heard,
    );
    assert.match(heard, expected.answer);
  }
  const reason = reasonOf(await outbound.call(logged));
  assert.ok(expected.logged.includes(reason), `${reason}`);
  await checkCounts(outbound, reason);
  if (row.by !== "inbound") return;
  await inbound.call();
  await checkCounts(inbound, row.reason);
}
