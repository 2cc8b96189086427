// A client on node:http2 of what h2-server.ts serves:
//   node h2-client.ts HOST:PORT CASE...
// Prints one line of JSON a case: {"case":NAME,"seen":[...]}. test/peers/h2peer/client.go has the same cases.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, type IncomingHttpHeaders } from "node:http2";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

interface Seen {
  readonly status: number;
  readonly interim: readonly number[];
  readonly fields: Readonly<Record<string, unknown>>;
  readonly octets: number;
  readonly hash: string;
  readonly trailers: Readonly<Record<string, unknown>>;
  readonly failed: boolean;
}

interface Request {
  readonly method: string;
  readonly path: string;
  /** Octets of the body. */
  readonly size?: number;
  /** Whether it ends with a trailer. */
  readonly checked?: boolean;
  readonly fields?: Readonly<Record<string, string>>;
}

function flat(head: IncomingHttpHeaders): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(head)
      .filter(([name]) => name !== "date" && !name.startsWith(":"))
      .toSorted(([one], [other]) => (one < other ? -1 : 1)),
  );
}

/** A body of that many octets, in pieces of many sizes. */
function* pieces(size: number): Generator<Buffer> {
  for (let at = 0, left = size; left > 0; at++) {
    const piece = Buffer.alloc(Math.min(left, 1 + ((at * 37) % 1999)), `${at},`);
    left -= piece.length;
    yield piece;
  }
}

async function ask(session: ClientHttp2Session, request: Request): Promise<Seen> {
  const { method, path, size = 0, checked = false, fields = {} } = request;
  const hasBody = size > 0 || checked;
  const head = { ":method": method, ":path": path, ...fields };
  const stream = session.request(head, { endStream: !hasBody, waitForTrailers: checked });
  const hash = createHash("sha256");
  const interim: number[] = [];
  let status = 0;
  let answer: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders = {};
  let octets = 0;
  let failed = false;
  stream.on("headers", (interimHead) => interim.push(Number(interimHead[":status"])));
  stream.on("response", (responseHead) => {
    status = Number(responseHead[":status"]);
    answer = responseHead;
  });
  stream.on("trailers", (last) => {
    trailers = last;
  });
  stream.on("data", (chunk: Buffer) => {
    octets += chunk.length;
    hash.update(chunk);
  });
  stream.on("wantTrailers", () => stream.sendTrailers({ "x-check": "checked" }));
  stream.on("error", () => {
    failed = true;
  });
  if (hasBody) Readable.from(pieces(size)).pipe(stream);
  await closed(stream);
  if (stream.rstCode !== 0) failed = true;
  const digest = hash.digest("hex");
  return { status, interim, fields: flat(answer), octets, hash: digest, trailers: flat(trailers), failed };
}

async function closed(stream: ClientHttp2Stream): Promise<void> {
  if (!stream.closed || !stream.destroyed) await once(stream, "close").catch(() => {});
}

/** How many more cancelled calls the server knows of after `give` has given up one. */
async function heard(session: ClientHttp2Session, give: () => Promise<void>): Promise<object[]> {
  const count = async (): Promise<number> => {
    const stream = session.request({ ":path": "/cancelled" });
    stream.setEncoding("utf8");
    let text = "";
    for await (const chunk of stream) text += chunk;
    return Number(text);
  };
  const before = await count();
  await give();
  for (let patience = 100; patience > 0; patience--) {
    const now = await count();
    if (now > before) return [{ heard: now - before }];
    await sleep(20);
  }
  throw new Error("the server has not heard of it within 2 s");
}

const manyFields = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`x-field-${at}`, "q".repeat(200)]));
const one = (request: Request) => async (session: ClientHttp2Session) => [await ask(session, request)];

const cases: Readonly<Record<string, (session: ClientHttp2Session) => Promise<object[]>>> = {
  echo_empty: one({ method: "POST", path: "/echo" }),
  echo_small: one({ method: "POST", path: "/echo", size: 10, checked: true }),
  echo_large: one({ method: "POST", path: "/echo", size: 4 << 20, checked: true }),
  echo_many: (session) =>
    Promise.all(
      Array.from({ length: 100 }, (_, at) =>
        ask(session, { method: "POST", path: "/echo", size: 1000 * at, checked: true }),
      ),
    ),
  octets: one({ method: "GET", path: "/octets?n=16777216" }),
  head: one({ method: "HEAD", path: "/octets?n=100" }),
  no_content: one({ method: "GET", path: "/none" }),
  hints: one({ method: "GET", path: "/hints" }),
  fields: one({ method: "GET", path: "/fields" }),
  asks_fields: one({ method: "POST", path: "/echo", size: 10, fields: manyFields }),
  early: async (session) => {
    // How much of the request had been sent by then is nobody's concern.
    const { status, octets } = await ask(session, { method: "POST", path: "/early", size: 4 << 20 });
    return [{ status, octets }];
  },
  reset: async (session) => {
    const { status, failed } = await ask(session, { method: "GET", path: "/reset" });
    return [{ status, failed }];
  },
  cancel: (session) =>
    heard(session, async () => {
      const abort = new AbortController();
      const stream = session.request({ ":path": "/slow" }, { signal: abort.signal });
      stream.on("error", () => {});
      await once(stream, "data");
      abort.abort();
      await closed(stream);
    }),
  give_up: (session) =>
    heard(session, async () => {
      const abort = new AbortController();
      const stream = session.request({ ":method": "POST", ":path": "/echo" }, { signal: abort.signal });
      stream.on("error", () => {});
      stream.resume();
      stream.write("some");
      await once(stream, "response");
      abort.abort();
      await closed(stream);
    }),
};

const [address = "", ...names] = process.argv.slice(2);
const session = connect(`http://${address}`);
session.on("error", () => {});
for (const name of names) {
  const run = cases[name];
  if (run === undefined) throw new Error(`no case is called ${name}`);
  process.stdout.write(`${JSON.stringify({ case: name, seen: await run(session) })}\n`);
}
session.close();
