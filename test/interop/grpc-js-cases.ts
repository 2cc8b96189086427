import type { EventEmitter } from "node:events";
import { create, type DescMethod, isMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Client,
  type ClientDuplexStream,
  type ClientOptions,
  type ClientUnaryCall,
  compressionAlgorithms,
  credentials,
  type Deadline,
  Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from "@grpc/grpc-js";
import { definition } from "./definition.ts";
import {
  EmptySchema,
  type SimpleRequest,
  SimpleRequestSchema,
  SimpleResponseSchema,
  StreamingInputCallRequestSchema,
  StreamingInputCallResponseSchema,
  StreamingOutputCallRequestSchema,
  StreamingOutputCallResponseSchema,
} from "./gen/grpc/testing/messages_pb.ts";
import { TestService, UnimplementedService } from "./gen/grpc/testing/test_pb.ts";

const REQUEST_SIZES = [27_182, 8, 1828, 45_904];
const RESPONSE_SIZES = [31_415, 9, 2653, 58_979];
const LARGE_REQUEST = 271_828;
const LARGE_RESPONSE = 314_159;

/** gRPC's write flag GRPC_WRITE_NO_COMPRESS, which grpc-js takes in the place of an encoding. */
const NO_COMPRESS = 2;

/** All that a caller can see of a call, so that two ways to the same server can be compared. */
export interface Seen {
  readonly code: number;
  readonly details: string;
  readonly head: Readonly<Record<string, readonly string[]>>;
  readonly trailers: Readonly<Record<string, readonly string[]>>;
  readonly sizes: readonly number[];
}

interface CallOptions {
  readonly metadata?: Metadata;
  readonly deadline?: Deadline;
}

/** A channel to a server, and calls over it that never reject: what became of them is what they resolve to. */
class Caller {
  readonly client: Client;

  constructor(address: string, options: ClientOptions = {}) {
    this.client = new Client(address, credentials.createInsecure(), {
      "grpc.max_receive_message_length": -1,
      "grpc.max_send_message_length": -1,
      "grpc.enable_retries": 0,
      "grpc.use_local_subchannel_pool": 1,
      ...options,
    });
  }

  unary(
    method: DescMethod,
    request: Message,
    { metadata = new Metadata(), deadline }: CallOptions = {},
  ): Promise<Seen> {
    const { path, requestSerialize, responseDeserialize } = definition(method);
    return new Promise((resolve) => {
      let size = -1;
      const call: ClientUnaryCall = this.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        deadline === undefined ? {} : { deadline },
        (_error: ServiceError | null, response?: Message) => {
          if (response !== undefined) size = sizeOf(response);
        },
      );
      watch(call, () => (size < 0 ? [] : [size]), resolve);
    });
  }

  duplex({ metadata = new Metadata(), deadline }: CallOptions = {}): Duplex {
    const { path, requestSerialize, responseDeserialize } = definition(TestService.method.fullDuplexCall);
    const options = deadline === undefined ? {} : { deadline };
    return new Duplex(
      this.client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, options),
    );
  }

  close(): void {
    this.client.close();
  }
}

/** A call in both directions whose answers are awaited one by one. */
class Duplex {
  private readonly call: ClientDuplexStream<Message, Message>;
  private readonly sizes: number[] = [];
  private wake: () => void = () => {};
  readonly ended: Promise<Seen>;

  constructor(call: ClientDuplexStream<Message, Message>) {
    this.call = call;
    call.on("data", (message: Message) => {
      this.sizes.push(sizeOf(message));
      this.wake();
    });
    this.ended = new Promise((resolve) => watch(call, () => this.sizes, resolve));
    void this.ended.then(() => this.wake());
  }

  send(request: MessageInitShape<typeof StreamingOutputCallRequestSchema>): void {
    this.call.write(create(StreamingOutputCallRequestSchema, request));
  }

  /** Resolves when `count` answers have come, or the call is over. */
  async received(count: number): Promise<void> {
    let over = false;
    void this.ended.then(() => {
      over = true;
    });
    while (this.sizes.length < count && !over) await new Promise<void>((resolve) => (this.wake = resolve));
  }

  half(): void {
    this.call.end();
  }

  cancel(): void {
    this.call.cancel();
  }
}

function watch(call: EventEmitter, sizes: () => readonly number[], done: (seen: Seen) => void): void {
  let head: Metadata | undefined;
  call.once("metadata", (metadata: Metadata) => {
    head = metadata;
  });
  // Its status says the same.
  call.once("error", () => {});
  call.once("status", ({ code, details, metadata }: StatusObject) => {
    // The answer of a unary call is handed over after its status.
    const seen = { code, head: plain(head), trailers: plain(metadata) };
    setImmediate(() => done({ ...seen, details, sizes: [...sizes()] }));
  });
}

/** Metadata without what every answer has another of. */
function plain(metadata: Metadata | undefined): Record<string, string[]> {
  const entries: [string, string[]][] = [];
  for (const key of Object.keys(metadata?.getMap() ?? {}).toSorted()) {
    if (key === "date") continue;
    const values = metadata?.get(key) ?? [];
    entries.push([key, values.map((value) => (typeof value === "string" ? value : value.toString("base64")))]);
  }
  return Object.fromEntries(entries);
}

function sizeOf(message: Message): number {
  if (isMessage(message, StreamingInputCallResponseSchema)) return message.aggregatedPayloadSize;
  if (isMessage(message, SimpleResponseSchema)) return message.payload?.body.length ?? 0;
  if (isMessage(message, StreamingOutputCallResponseSchema)) return message.payload?.body.length ?? 0;
  return 0;
}

const large = (): SimpleRequest =>
  create(SimpleRequestSchema, { responseSize: LARGE_RESPONSE, payload: { body: new Uint8Array(LARGE_REQUEST) } });
const body = (size: number) => ({ payload: { body: new Uint8Array(size) } });
const wanted = (...sizes: number[]) => ({ responseParameters: sizes.map((size) => ({ size })) });

function customMetadata(): Metadata {
  const metadata = new Metadata();
  metadata.set("x-grpc-test-echo-initial", "test_initial_metadata_value");
  metadata.set("x-grpc-test-echo-trailing-bin", Buffer.from([0x0a, 0x0b, 0x0a, 0x0b, 0x0a, 0x0b]));
  return metadata;
}

/** Sends messages of these sizes; those of `plain` uncompressed whatever the channel does. */
function streamingInput(caller: Caller, sizes: readonly number[], uncompressed: ReadonlySet<number> = new Set()) {
  const { path, requestSerialize, responseDeserialize } = definition(TestService.method.streamingInputCall);
  return new Promise<Seen>((resolve) => {
    let total = -1;
    const call = caller.client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      (_error: ServiceError | null, response?: Message) => {
        if (response !== undefined) total = sizeOf(response);
      },
    );
    watch(call, () => (total < 0 ? [] : [total]), resolve);
    for (const size of sizes) {
      const message = create(StreamingInputCallRequestSchema, body(size));
      if (uncompressed.has(size)) call.write(message, NO_COMPRESS);
      else call.write(message);
    }
    call.end();
  });
}

function streamingOutput(caller: Caller, request: MessageInitShape<typeof StreamingOutputCallRequestSchema>) {
  const { path, requestSerialize, responseDeserialize } = definition(TestService.method.streamingOutputCall);
  return new Promise<Seen>((resolve) => {
    const sizes: number[] = [];
    const message = create(StreamingOutputCallRequestSchema, request);
    const call = caller.client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, message);
    call.on("data", (answer: Message) => sizes.push(sizeOf(answer)));
    watch(call, () => sizes, resolve);
  });
}

const { emptyCall, unaryCall, unimplementedCall } = TestService.method;
const empty = (): Message => create(EmptySchema);

/** Each makes its calls and resolves to what was seen of them, in a fixed order. */
export const cases: Readonly<Record<string, (caller: Caller, address: string) => Promise<Seen[]>>> = {
  empty_unary: async (caller) => [await caller.unary(emptyCall, empty())],
  large_unary: async (caller) => [await caller.unary(unaryCall, large())],
  client_streaming: async (caller) => [await streamingInput(caller, REQUEST_SIZES)],
  server_streaming: async (caller) => [await streamingOutput(caller, wanted(...RESPONSE_SIZES))],
  ping_pong: async (caller) => {
    const call = caller.duplex();
    for (const [at, size] of REQUEST_SIZES.entries()) {
      call.send({ ...wanted(RESPONSE_SIZES[at] ?? 0), ...body(size) });
      await call.received(at + 1);
    }
    call.half();
    return [await call.ended];
  },
  empty_stream: async (caller) => {
    const call = caller.duplex();
    call.half();
    return [await call.ended];
  },
  client_compressed_unary: async (_, address) => {
    const caller = new Caller(address, { "grpc.default_compression_algorithm": compressionAlgorithms.gzip });
    const seen = [await caller.unary(unaryCall, large())];
    caller.close();
    return seen;
  },
  client_compressed_streaming: async (_, address) => {
    const caller = new Caller(address, { "grpc.default_compression_algorithm": compressionAlgorithms.gzip });
    const seen = [await streamingInput(caller, [27_182, 45_904], new Set([45_904]))];
    caller.close();
    return seen;
  },
  server_compressed_unary: async (caller) => {
    const request = (value: boolean) =>
      create(SimpleRequestSchema, {
        responseSize: LARGE_RESPONSE,
        ...body(LARGE_REQUEST),
        responseCompressed: { value },
      });
    return [await caller.unary(unaryCall, request(true)), await caller.unary(unaryCall, request(false))];
  },
  server_compressed_streaming: async (caller) => {
    const responseParameters = [
      { size: 31_415, compressed: { value: true } },
      { size: 92_653, compressed: { value: false } },
    ];
    return [await streamingOutput(caller, { responseParameters })];
  },
  custom_metadata: async (caller) => {
    const metadata = customMetadata();
    const unary = await caller.unary(unaryCall, create(SimpleRequestSchema, { responseSize: 1, ...body(1) }), {
      metadata,
    });
    const call = caller.duplex({ metadata });
    call.send({ ...wanted(1), ...body(1) });
    await call.received(1);
    call.half();
    return [unary, await call.ended];
  },
  status_code_and_message: async (caller) => {
    const responseStatus = { code: 2, message: "test status message" };
    const unary = await caller.unary(unaryCall, create(SimpleRequestSchema, { responseStatus }));
    const call = caller.duplex();
    call.send({ responseStatus });
    call.half();
    return [unary, await call.ended];
  },
  special_status_message: async (caller) => {
    const message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
    return [await caller.unary(unaryCall, create(SimpleRequestSchema, { responseStatus: { code: 2, message } }))];
  },
  unimplemented_method: async (caller) => [await caller.unary(unimplementedCall, empty())],
  unimplemented_service: async (caller) => [await caller.unary(UnimplementedService.method.unimplementedCall, empty())],
  cancel_after_begin: async (caller) => {
    const call = caller.duplex();
    await new Promise((resolve) => setTimeout(resolve, 20));
    call.cancel();
    return [await call.ended];
  },
  cancel_after_first_response: async (caller) => {
    const call = caller.duplex();
    call.send({ ...wanted(31_415), ...body(27_182) });
    await call.received(1);
    call.cancel();
    return [await call.ended];
  },
  timeout_on_sleeping_server: async (caller) => {
    // grpc-go ends a call at its deadline by RST_STREAM(CANCEL), which grpc-js tells as CANCELLED where it comes before its own
    // timer: without any proxy, too, on a busy machine. That says nothing of the way, so the call is made again.
    for (let left = 4; ; left--) {
      const call = caller.duplex({ deadline: Date.now() + 50 });
      call.send(body(27_182));
      // Who says so first, with how many milliseconds in its message, is a matter of chance.
      const { code, sizes } = await call.ended;
      if (code !== status.CANCELLED || left === 0) return [{ code, details: "", head: {}, trailers: {}, sizes }];
    }
  },
  rpc_soak: async (caller) => {
    const seen: Seen[] = [];
    for (let round = 0; round < 100; round++) seen.push(await caller.unary(unaryCall, large()));
    return same(seen);
  },
  channel_soak: async (_, address) => {
    const seen: Seen[] = [];
    for (let round = 0; round < 50; round++) {
      const caller = new Caller(address);
      seen.push(await caller.unary(unaryCall, large()));
      caller.close();
    }
    return same(seen);
  },
  concurrent_large_unary: async (caller) =>
    same(await Promise.all(Array.from({ length: 1000 }, () => caller.unary(unaryCall, large())))),
};

/** One of many that are all the same; those that are not, too. */
function same(seen: readonly Seen[]): Seen[] {
  const kinds = new Map(seen.map((one) => [JSON.stringify(one), one]));
  return [...kinds.values()];
}

/** Runs one case over a channel of its own. */
export async function runCase(name: string, address: string): Promise<Seen[]> {
  const run = cases[name];
  if (run === undefined) throw new Error(`no case is called ${name}`);
  const caller = new Caller(address);
  try {
    return await run(caller, address);
  } finally {
    caller.close();
  }
}
