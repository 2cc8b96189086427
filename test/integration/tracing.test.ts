import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Client, Metadata, type ServiceError } from "@grpc/grpc-js";
import { GrpcServer, grpcClient, testService } from "../support/grpc-service.ts";
import { Jaeger, type JaegerSpan } from "../support/jaeger.ts";
import { realPart, skipUnless } from "../support/real-parts.ts";
import { type SidecarProcess, startSidecarOf, startSidecarProcess } from "../support/sidecar-process.ts";

const METHOD = "test.v1.Test/Unary";
const CONTEXT = ["traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled"];

let jaeger: Jaeger;
before(async () => {
  if (realPart("jaeger") !== undefined) jaeger = await Jaeger.start();
});
after(() => jaeger?.stop());

/** What a test has started. */
class Hops {
  private readonly ends: (() => unknown)[] = [];

  async sidecar(config: Readonly<Record<string, unknown>>): Promise<SidecarProcess> {
    return this.started(await startSidecarProcess(config));
  }

  started(sidecar: SidecarProcess): SidecarProcess {
    this.ends.push(() => sidecar.process.kill());
    return sidecar;
  }

  async app(answer: (metadata: Metadata) => Promise<string>): Promise<string> {
    const unary = (
      call: { metadata: Metadata },
      done: (error: Partial<ServiceError> | null, answer?: Buffer) => void,
    ) => {
      answer(call.metadata).then(
        (text) => done(null, Buffer.from(text)),
        (error: unknown) => done({ code: 13, details: String(error) }),
      );
    };
    const server = await GrpcServer.start({ unary });
    this.ends.push(() => server.stop());
    return server.address;
  }

  client(address: string, authority: string): Client {
    const client = grpcClient(address, authority);
    this.ends.push(() => client.close());
    return client;
  }

  async end(): Promise<void> {
    for (const end of this.ends.reverse()) await end();
  }
}

function unary(client: Client, metadata = new Metadata()): Promise<string> {
  const { path, requestSerialize, responseDeserialize } = testService.unary;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      Buffer.from("x"),
      metadata,
      (error, answer) => {
        if (error !== null) reject(error);
        else resolve(answer?.toString() ?? "");
      },
    );
  });
}

function metadataOf(pairs: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(pairs)) metadata.set(name, value);
  return metadata;
}

const newTrace = (): string => Array.from({ length: 32 }, () => Math.floor(Math.random() * 16).toString(16)).join("");
const PARENT = "00f067aa0ba902b7";

function kind(span: JaegerSpan | undefined): string {
  return String(span?.tags.get("span.kind"));
}

/** The caller's sidecar, and one beside an application called `last` that answers with the context that it was given. */
async function twoSidecars(hops: Hops, tracing: Readonly<Record<string, unknown>>) {
  const address = await hops.app(async (metadata) =>
    JSON.stringify(CONTEXT.flatMap((name) => metadata.get(name).map((value) => [name, String(value)]))),
  );
  const last = await hops.sidecar({ service: { name: "last", address, health: "none" }, tracing });
  const upstreams = { last: { discovery: "static", endpoints: [last.address("inbound")] } };
  const caller = await hops.sidecar({ identity: { name: "caller" }, upstreams, tracing });
  return { caller, client: hops.client(caller.address("outbound"), "last"), last };
}

for (const protocol of ["grpc", "http"] as const) {
  test(
    `a call through two sidecars is one trace, the server's span below the client's, exported over ${protocol}`,
    skipUnless("jaeger"),
    async () => {
      const hops = new Hops();
      try {
        const tracing = { sampling: "0%", otlp: jaeger[protocol], protocol };
        const { client } = await twoSidecars(hops, tracing);
        const id = newTrace();
        const seen = await unary(client, metadataOf({ traceparent: `00-${id}-${PARENT}-01`, tracestate: "vendor=x" }));
        const [sent, received] = await jaeger.trace(id, 2);
        assert.ok(sent !== undefined && received !== undefined);
        assert.deepEqual(
          [sent.service, kind(sent), sent.operationName, sent.parent],
          ["caller", "client", METHOD, PARENT],
        );
        assert.deepEqual(
          [received.service, kind(received), received.operationName, received.parent],
          ["last", "server", METHOD, sent.spanID],
        );
        assert.deepEqual(JSON.parse(seen), [
          ["traceparent", `00-${id}-${received.spanID}-01`],
          ["tracestate", "vendor=x"],
        ]);
        assert.equal(sent.tags.get("rpc.system.name"), "grpc");
        assert.equal(sent.tags.get("rpc.method"), METHOD);
        assert.equal(sent.tags.get("rpc.response.status_code"), "OK");
        assert.equal(sent.tags.get("server.address"), "127.0.0.1");
        assert.equal(sent.tags.get("outrigger.upstream"), "last");
        assert.match(String(sent.tags.get("outrigger.call_id")), /^[0-9a-z]{4}-\d+$/);
        assert.ok(received.startTime + received.duration <= sent.startTime + sent.duration + 2000, "it ends inside");
      } finally {
        await hops.end();
      }
    },
  );
}

test("a context comes out as it came in: B3 in one field, and in several", skipUnless("jaeger"), async () => {
  const hops = new Hops();
  try {
    const { client } = await twoSidecars(hops, { sampling: "0%", otlp: jaeger.grpc });
    const single = newTrace();
    const seen = await unary(client, metadataOf({ b3: `${single}-${PARENT}-1` }));
    const [, received] = await jaeger.trace(single, 2);
    assert.deepEqual(JSON.parse(seen), [["b3", `${single}-${received?.spanID}-1`]]);
    const several = newTrace();
    const fields = { "x-b3-traceid": several, "x-b3-spanid": PARENT, "x-b3-sampled": "1" };
    const also = await unary(client, metadataOf(fields));
    const [, server] = await jaeger.trace(several, 2);
    assert.deepEqual(JSON.parse(also), Object.entries({ ...fields, "x-b3-spanid": server?.spanID ?? "" }));
  } finally {
    await hops.end();
  }
});

test(
  "a trace that is not recorded is passed on untouched, and one that begins here is told as not recorded",
  skipUnless("jaeger"),
  async () => {
    const hops = new Hops();
    try {
      const { client } = await twoSidecars(hops, { sampling: "0%", otlp: jaeger.grpc });
      const traceparent = `00-${newTrace()}-${PARENT}-00`;
      assert.deepEqual(JSON.parse(await unary(client, metadataOf({ traceparent }))), [["traceparent", traceparent]]);
      assert.deepEqual(JSON.parse(await unary(client)), [["x-b3-sampled", "0"]]);
    } finally {
      await hops.end();
    }
  },
);

test(
  "a failure has its reason in the span, also where its trace is not recorded and errors are asked for",
  skipUnless("jaeger"),
  async () => {
    const hops = new Hops();
    try {
      const upstreams = { gone: { discovery: "static", endpoints: ["127.0.0.1:1"] } };
      const tracing = { sampling: "0%", otlp: jaeger.grpc, errors: "always" };
      const sidecar = await hops.sidecar({ identity: { name: "failing" }, upstreams, tracing });
      const client = hops.client(sidecar.address("outbound"), "gone");
      const id = newTrace();
      await assert.rejects(unary(client, metadataOf({ traceparent: `00-${id}-${PARENT}-00` })));
      const [span] = await jaeger.trace(id, 1);
      assert.equal(span?.tags.get("error"), true);
      assert.equal(span?.tags.get("error.type"), "CONNECT_REFUSED");
      assert.equal(span?.tags.get("outrigger.reason"), "CONNECT_REFUSED");
      assert.equal(span?.tags.get("rpc.response.status_code"), "UNAVAILABLE");
      assert.equal(span?.parent, PARENT);
    } finally {
      await hops.end();
    }
  },
);

/** caller -> middle -> last, where the application `middle` passes the context on, or does not. */
async function threeHops(hops: Hops, propagates: boolean, correlate: string) {
  const tracing = { sampling: "100%", otlp: jaeger.grpc, correlate };
  const lastAddress = await hops.app(async () => "last");
  const last = await hops.sidecar({ service: { name: "last", address: lastAddress, health: "none" }, tracing });
  let onward: Client | undefined;
  const middleAddress = await hops.app(async (metadata) => {
    const next = new Metadata();
    for (const name of propagates ? CONTEXT : []) for (const value of metadata.get(name)) next.add(name, value);
    return onward === undefined ? "" : unary(onward, next);
  });
  const middle = await hops.sidecar({
    service: { name: "middle", address: middleAddress, health: "none" },
    upstreams: { last: { discovery: "static", endpoints: [last.address("inbound")] } },
    tracing,
  });
  onward = hops.client(middle.address("outbound"), "last");
  const upstreams = { middle: { discovery: "static", endpoints: [middle.address("inbound")] } };
  const caller = await hops.sidecar({ identity: { name: "caller" }, upstreams, tracing });
  return { client: hops.client(caller.address("outbound"), "middle"), middle };
}

/** Services and kinds of a trace, from its root down. */
function chain(spans: readonly JaegerSpan[], root: string | undefined): string[] {
  const found: string[] = [];
  for (let parent = root; ; ) {
    const next = spans.find((span) => span.parent === parent);
    if (next === undefined) return found;
    found.push(`${next.service} ${kind(next)}`);
    parent = next.spanID;
  }
}

const WHOLE = ["caller client", "middle server", "middle client", "last server"];

test("three hops are one trace where the application passes the context on", skipUnless("jaeger"), async () => {
  const hops = new Hops();
  try {
    const { client } = await threeHops(hops, true, "none");
    const id = newTrace();
    assert.equal(await unary(client, metadataOf({ traceparent: `00-${id}-${PARENT}-01` })), "last");
    assert.deepEqual(chain(await jaeger.trace(id, 4), PARENT), WHOLE);
  } finally {
    await hops.end();
  }
});

test("where it does not the trace ends there, and the sidecar says who is to blame", skipUnless("jaeger"), async () => {
  const hops = new Hops();
  try {
    const { client, middle } = await threeHops(hops, false, "none");
    const id = newTrace();
    for (let call = 0; call < 12; call++)
      await unary(client, metadataOf({ traceparent: `00-${call === 0 ? id : newTrace()}-${PARENT}-01` }));
    assert.deepEqual(chain(await jaeger.trace(id, 2), PARENT), WHOLE.slice(0, 2));
    await middle.process.line(/the application does not propagate the trace context/);
    for (let tries = 0; (await jaeger.spansOf("middle")).every((span) => span.parent !== undefined); tries++)
      assert.ok(tries < 1000, "no trace began at middle");
    const begun = (await jaeger.spansOf("middle")).find(({ tags }) => tags.has("outrigger.propagation"));
    assert.equal(begun?.tags.get("outrigger.propagation"), "the application does not propagate");
    assert.equal(begun?.parent, undefined);
  } finally {
    await hops.end();
  }
});

test(
  "with correlation the calls of such an application belong to the only one that it has",
  skipUnless("jaeger"),
  async () => {
    const hops = new Hops();
    try {
      const { client } = await threeHops(hops, false, "singleFlight");
      const id = newTrace();
      await unary(client, metadataOf({ traceparent: `00-${id}-${PARENT}-01` }));
      assert.deepEqual(chain(await jaeger.trace(id, 4), PARENT), WHOLE);
    } finally {
      await hops.end();
    }
  },
);

test(
  "workers export their spans, and a reload sends those to come to another collector",
  skipUnless("jaeger"),
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "outrigger-tracing-"));
    t.after(() => rm(folder, { recursive: true }));
    const hops = new Hops();
    try {
      const address = await hops.app(async () => "done");
      const file = join(folder, "outrigger.yaml");
      const config = (otlp: string) => ({
        identity: { name: "crew" },
        workers: 2,
        listeners: { outbound: "127.0.0.1:0", admin: "127.0.0.1:0", probe: "127.0.0.1:0" },
        upstreams: { app: { discovery: "static", endpoints: [address] } },
        tracing: { sampling: "0%", otlp },
      });
      await writeFile(file, JSON.stringify(config("http://127.0.0.1:1")));
      const sidecar = hops.started(await startSidecarOf(file));
      const outbound = sidecar.address("outbound");
      // A connection each, so that every worker has some.
      const clients = Array.from({ length: 12 }, () => hops.client(outbound, "app"));
      const traced = async () => {
        const ids = clients.map(() => newTrace());
        const headers = ids.map((id) => metadataOf({ traceparent: `00-${id}-${PARENT}-01` }));
        await Promise.all(clients.map((client, at) => unary(client, headers[at])));
        return ids;
      };
      const before = await traced();
      await writeFile(file, JSON.stringify(config(jaeger.grpc)));
      await sidecar.process.line(/the configuration was applied/);
      for (const id of await traced()) assert.equal((await jaeger.trace(id, 1))[0]?.service, "crew");
      const known = new Set((await jaeger.spansOf("crew")).map(({ traceID }) => traceID));
      assert.ok(
        before.every((id) => !known.has(id)),
        "what was told to the first collector is not told to the second",
      );
    } finally {
      await hops.end();
    }
  },
);

test("retries are siblings below the caller's span, each with its end", skipUnless("jaeger"), async () => {
  const hops = new Hops();
  try {
    let calls = 0;
    const flaky = await hops.app(async () => {
      if (++calls === 1) throw new Error("not now");
      return "then";
    });
    const retry = { attempts: 3, statuses: ["internal"], idempotentMethods: [METHOD] };
    const upstreams = { flaky: { discovery: "static", endpoints: [flaky], retry } };
    const tracing = { sampling: "0%", otlp: jaeger.grpc };
    const sidecar = await hops.sidecar({ identity: { name: "retrying" }, upstreams, tracing });
    const client = hops.client(sidecar.address("outbound"), "flaky");
    const id = newTrace();
    assert.equal(await unary(client, metadataOf({ traceparent: `00-${id}-${PARENT}-01` })), "then");
    const spans = await jaeger.trace(id, 2);
    assert.deepEqual(
      spans.map(({ parent, tags }) => [parent, tags.get("error.type"), tags.get("rpc.grpc.previous_attempts")]),
      [
        [PARENT, "INTERNAL", 0],
        [PARENT, undefined, 1],
      ],
    );
  } finally {
    await hops.end();
  }
});
