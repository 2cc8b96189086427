import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import {
  type Client,
  Metadata,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceError,
  type StatusObject,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { GrpcServer, grpcClient, type TestImplementation, testService } from "../support/grpc-service.ts";
import { inScope, type Scope, type Sidecar } from "../support/with-proxy.ts";

const { unary, clientStream, serverStream, bidi } = testService;

/** An application that does what the metadata of a call asks it to. */
const application: TestImplementation = {
  unary(call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
    const head = new Metadata();
    for (const value of call.metadata.get("echo-initial")) head.add("echo-initial", value);
    for (const value of call.metadata.get("echo-bin")) head.add("echo-bin", value);
    call.sendMetadata(head);
    const trailers = new Metadata();
    for (const value of call.metadata.get("echo-trailing-bin")) trailers.add("echo-trailing-bin", value);
    const [code] = call.metadata.get("fail-with");
    if (code === undefined) callback(null, call.request, trailers);
    else
      callback({ code: Number(code), details: String(call.metadata.get("fail-details-bin")[0]), metadata: trailers });
  },
  clientStream(call: ServerReadableStream<Buffer, Buffer>, callback: sendUnaryData<Buffer>) {
    const parts: Buffer[] = [];
    call.on("data", (part: Buffer) => parts.push(part));
    call.on("end", () => callback(null, Buffer.from(`${parts.length}:${Buffer.concat(parts).length}`)));
  },
  serverStream(call: ServerWritableStream<Buffer, Buffer>) {
    const [count, size] = call.request.toString().split("x").map(Number);
    for (let at = 0; at < (count ?? 0); at++) call.write(Buffer.alloc(size ?? 0, at));
    call.end();
  },
  bidi(call: ServerDuplexStream<Buffer, Buffer>) {
    call.on("data", (part: Buffer) => call.write(part));
    call.on("end", () => call.end());
  },
};

interface Mesh {
  readonly client: Client;
  readonly sidecars: readonly Sidecar[];
}

/** A gRPC client and the application `up`, with none, one or two sidecars between. */
async function mesh(scope: Scope, hops: number, implementation: TestImplementation = application): Promise<Mesh> {
  const server = await GrpcServer.start(implementation);
  scope.onEnd(() => server.stop());
  const sidecars: Sidecar[] = [];
  let { address } = server;
  if (hops > 1) {
    const near = await scope.sidecar({ service: { name: "up", address, health: "none" }, log: { access: "errors" } });
    sidecars.unshift(near);
    address = near.inbound;
  }
  if (hops > 0) {
    const upstreams = { up: { discovery: "static", endpoints: [address] } };
    const far = await scope.sidecar({ upstreams, log: { access: "errors" } });
    sidecars.unshift(far);
    address = far.outbound;
  }
  const client = grpcClient(address, "up");
  scope.onEnd(() => client.close());
  return { client, sidecars };
}

interface Answer {
  readonly message: Buffer | undefined;
  readonly error: ServiceError | undefined;
  readonly head: Metadata | undefined;
  readonly status: StatusObject;
}

function callUnary(client: Client, request: Buffer, metadata = new Metadata(), deadline?: number): Promise<Answer> {
  return new Promise((resolve) => {
    let head: Metadata | undefined;
    let result: { error: ServiceError | undefined; message: Buffer | undefined } | undefined;
    let ended: StatusObject | undefined;
    const done = (): void => {
      if (result !== undefined && ended !== undefined) resolve({ ...result, head, status: ended });
    };
    const options = deadline === undefined ? {} : { deadline: Date.now() + deadline };
    const call = client.makeUnaryRequest(
      unary.path,
      unary.requestSerialize,
      unary.responseDeserialize,
      request,
      metadata,
      options,
      (error, message) => {
        result = { error: error ?? undefined, message };
        done();
      },
    );
    call.on("metadata", (got) => {
      head = got;
    });
    call.on("status", (got) => {
      ended = got;
      done();
    });
  });
}

for (const hops of [0, 1, 2]) {
  const through = ["nothing between", "one sidecar", "two sidecars"][hops];

  test(`empty, large and very large unary calls with ${through}`, async () => {
    await inScope(async (scope) => {
      const { client } = await mesh(scope, hops);
      for (const size of [0, 1, 271_828, 5_000_000]) {
        const request = Buffer.alloc(size, size % 251);
        const { error, message } = await callUnary(client, request);
        assert.equal(error, undefined);
        assert.ok(message?.equals(request), `${size} octets`);
      }
    });
  });

  test(`client, server and bidirectional streams with ${through}`, async () => {
    await inScope(async (scope) => {
      const { client } = await mesh(scope, hops);
      const counted = await new Promise<Buffer | undefined>((resolve, reject) => {
        const call = client.makeClientStreamRequest(
          clientStream.path,
          clientStream.requestSerialize,
          clientStream.responseDeserialize,
          (error, message) => (error === null ? resolve(message) : reject(error)),
        );
        for (const size of [27_182, 8, 1828, 45_904, 0]) call.write(Buffer.alloc(size));
        call.end();
      });
      assert.equal(counted?.toString(), "5:74922");

      const parts: Buffer[] = [];
      const stream = client.makeServerStreamRequest(
        serverStream.path,
        serverStream.requestSerialize,
        serverStream.responseDeserialize,
        Buffer.from("300x5000"),
      );
      for await (const part of stream) parts.push(part);
      assert.deepEqual(
        parts.map((part) => [part.length, part[0]]),
        Array.from({ length: 300 }, (_, at) => [5000, at % 256]),
      );

      const call = client.makeBidiStreamRequest(bidi.path, bidi.requestSerialize, bidi.responseDeserialize);
      for (const size of [31_415, 9, 2653, 58_979, 0]) {
        call.write(Buffer.alloc(size, 7));
        const [echo] = await once(call, "data");
        assert.equal(echo.length, size);
      }
      call.end();
      call.resume();
      await once(call, "end");

      const empty = client.makeBidiStreamRequest(bidi.path, bidi.requestSerialize, bidi.responseDeserialize);
      empty.end();
      empty.resume();
      const [ended] = await once(empty, "status");
      assert.equal(ended.code, status.OK);
    });
  });

  test(`metadata and statuses with ${through}`, async () => {
    await inScope(async (scope) => {
      const { client } = await mesh(scope, hops);
      const metadata = new Metadata();
      const octets = Buffer.from([0, 1, 127, 128, 255]);
      metadata.add("echo-initial", "test_initial_metadata_value");
      metadata.add("echo-initial", "a second");
      metadata.add("echo-bin", octets);
      metadata.add("echo-trailing-bin", Buffer.from([0xab, 0xab, 0xab]));
      const { head, status: ended } = await callUnary(client, Buffer.from("x"), metadata);
      assert.deepEqual(head?.get("echo-initial"), ["test_initial_metadata_value, a second"]);
      assert.deepEqual(head?.get("echo-bin"), [octets]);
      assert.deepEqual(ended.metadata.get("echo-trailing-bin"), [Buffer.from([0xab, 0xab, 0xab])]);

      const special = "\t\ntest with whitespace\r\nand Unicode BMP \u263A and non-BMP \u{1F608}\t\n %41";
      for (let code = 1; code <= 16; code++) {
        const failing = new Metadata();
        failing.set("fail-with", String(code));
        failing.set("fail-details-bin", Buffer.from(special));
        failing.add("echo-trailing-bin", octets);
        const failed = await callUnary(client, Buffer.from("x"), failing);
        assert.deepEqual([failed.status.code, failed.status.details], [code, special]);
        assert.deepEqual(failed.status.metadata.get("echo-trailing-bin"), [octets]);
        assert.equal(failed.status.metadata.get("outrigger-reason").length, 0);
      }
    });
  });

  test(`what the application does not implement is its own answer with ${through}`, async () => {
    await inScope(async (scope) => {
      const { client, sidecars } = await mesh(scope, hops);
      for (const path of ["/test.v1.Test/Missing", "/no.such.Service/Call"]) {
        const error = await new Promise<ServiceError | null>((resolve) => {
          client.makeUnaryRequest(path, unary.requestSerialize, unary.responseDeserialize, Buffer.alloc(0), resolve);
        });
        assert.equal(error?.code, status.UNIMPLEMENTED);
      }
      for (const sidecar of sidecars)
        for (const line of sidecar.calls)
          assert.deepEqual([line.grpc_status, line.origin, line.reason], ["UNIMPLEMENTED", "app", undefined]);
    });
  });

  test(`a deadline and a cancel reach the application with ${through}`, async () => {
    await inScope(async (scope) => {
      const cancelled: string[] = [];
      const { client, sidecars } = await mesh(scope, hops, {
        unary: (call: ServerUnaryCall<Buffer, Buffer>) => {
          call.on("cancelled", () => cancelled.push(call.request.toString()));
        },
        bidi: (call: ServerDuplexStream<Buffer, Buffer>) => {
          call.on("cancelled", () => cancelled.push("bidi"));
          call.on("data", (part: Buffer) => call.write(part));
        },
      });
      const { error } = await callUnary(client, Buffer.from("late"), new Metadata(), 150);
      assert.equal(error?.code, status.DEADLINE_EXCEEDED);
      const call = client.makeBidiStreamRequest(bidi.path, bidi.requestSerialize, bidi.responseDeserialize);
      call.on("error", () => {});
      call.write(Buffer.from("x"));
      await once(call, "data");
      const ended = new Promise<StatusObject>((resolve) => call.on("status", resolve));
      call.cancel();
      assert.equal((await ended).code, status.CANCELLED);
      for (let wait = 0; cancelled.length < 2 && wait < 200; wait++)
        await new Promise((resolve) => setTimeout(resolve, 5));
      assert.deepEqual(cancelled.sort(), ["bidi", "late"]);
      for (const sidecar of sidecars) await sidecar.rest();
    });
  });
}

for (const hops of [1, 2]) {
  test(`1,000 large unary calls at a time over one connection through ${hops} of us`, async () => {
    await inScope(async (scope) => {
      const { client, sidecars } = await mesh(scope, hops);
      const request = Buffer.alloc(60_000, 3);
      const answers = await Promise.all(Array.from({ length: 1000 }, () => callUnary(client, request)));
      for (const { error, message } of answers) {
        assert.equal(error, undefined);
        assert.equal(message?.length, request.length);
      }
      for (const sidecar of sidecars) {
        await sidecar.rest();
        const label = { direction: sidecar === sidecars[0] ? "outbound" : "inbound", grpc_status: "OK" };
        assert.equal(await sidecar.handled(label), 1000);
      }
      assert.equal(sidecars[0]?.runtime.listeners.outbound[0]?.listener.accepted, 1, "one connection");
    });
  });
}
