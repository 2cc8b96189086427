// The server of gRPC's interoperability tests on grpc-js. Prints "interop ready address=HOST:PORT" and serves until SIGTERM.
import { create } from "@bufbuild/protobuf";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { definitions } from "./definition.ts";
import {
  type EchoStatus,
  type Empty,
  EmptySchema,
  type ResponseParameters,
  type SimpleRequest,
  type SimpleResponse,
  SimpleResponseSchema,
  type StreamingInputCallRequest,
  type StreamingInputCallResponse,
  StreamingInputCallResponseSchema,
  type StreamingOutputCallRequest,
  type StreamingOutputCallResponse,
  StreamingOutputCallResponseSchema,
} from "./gen/grpc/testing/messages_pb.ts";
import { TestService } from "./gen/grpc/testing/test_pb.ts";

const INITIAL = "x-grpc-test-echo-initial";
const TRAILING = "x-grpc-test-echo-trailing-bin";

interface OutputStream {
  readonly cancelled: boolean;
  write(message: StreamingOutputCallResponse): boolean;
  once(event: "drain", listener: () => void): unknown;
}

/** What the tests want back in the head and in the trailers. */
function echoed(metadata: Metadata): { head: Metadata | undefined; trailers: Metadata } {
  const head = copy(metadata, INITIAL);
  return { head, trailers: copy(metadata, TRAILING) ?? new Metadata() };
}

function copy(from: Metadata, key: string): Metadata | undefined {
  const values = from.get(key);
  if (values.length === 0) return undefined;
  const to = new Metadata();
  for (const value of values) to.add(key, value);
  return to;
}

function failure(status: EchoStatus | undefined, trailers: Metadata) {
  if (status === undefined || status.code === 0) return undefined;
  return { code: status.code, details: status.message, metadata: trailers };
}

function emptyCall(_call: ServerUnaryCall<Empty, Empty>, answer: sendUnaryData<Empty>): void {
  answer(null, create(EmptySchema));
}

function unaryCall(call: ServerUnaryCall<SimpleRequest, SimpleResponse>, answer: sendUnaryData<SimpleResponse>): void {
  const { head, trailers } = echoed(call.metadata);
  if (head !== undefined) call.sendMetadata(head);
  const error = failure(call.request.responseStatus, trailers);
  if (error !== undefined) {
    answer(error);
    return;
  }
  const body = new Uint8Array(call.request.responseSize);
  answer(null, create(SimpleResponseSchema, { payload: { body } }), trailers);
}

/** Sends what is asked for, each after its interval, as fast as it is read. */
async function send(call: OutputStream, parameters: readonly ResponseParameters[]): Promise<void> {
  for (const { size, intervalUs } of parameters) {
    if (intervalUs > 0) await new Promise((resolve) => setTimeout(resolve, intervalUs / 1000));
    if (call.cancelled) return;
    const message = create(StreamingOutputCallResponseSchema, { payload: { body: new Uint8Array(size) } });
    if (!call.write(message)) await new Promise((resolve) => call.once("drain", () => resolve(undefined)));
  }
}

function streamingOutputCall(
  call: ServerWritableStream<StreamingOutputCallRequest, StreamingOutputCallResponse>,
): void {
  void send(call, call.request.responseParameters).then(() => call.end());
}

function streamingInputCall(
  call: ServerReadableStream<StreamingInputCallRequest, StreamingInputCallResponse>,
  answer: sendUnaryData<StreamingInputCallResponse>,
): void {
  let aggregatedPayloadSize = 0;
  call.on("data", ({ payload }: StreamingInputCallRequest) => {
    aggregatedPayloadSize += payload?.body.length ?? 0;
  });
  call.on("end", () => answer(null, create(StreamingInputCallResponseSchema, { aggregatedPayloadSize })));
  call.on("error", () => {});
}

function fullDuplexCall(call: ServerDuplexStream<StreamingOutputCallRequest, StreamingOutputCallResponse>): void {
  const { head, trailers } = echoed(call.metadata);
  if (head !== undefined) call.sendMetadata(head);
  let sent = Promise.resolve();
  let failed = false;
  call.on("data", ({ responseStatus, responseParameters }: StreamingOutputCallRequest) => {
    const error = failure(responseStatus, trailers);
    if (error === undefined) sent = sent.then(() => send(call, responseParameters));
    else if (!failed) {
      failed = true;
      void sent.then(() => call.emit("error", error));
    }
  });
  call.on("end", () => {
    if (!failed) void sent.then(() => call.end(trailers));
  });
  call.on("error", () => {});
}

function halfDuplexCall(call: ServerDuplexStream<StreamingOutputCallRequest, StreamingOutputCallResponse>): void {
  const wanted: ResponseParameters[] = [];
  call.on("data", ({ responseParameters }: StreamingOutputCallRequest) => wanted.push(...responseParameters));
  call.on("end", () => void send(call, wanted).then(() => call.end()));
  call.on("error", () => {});
}

const server = new Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
const { unimplementedCall: _, ...implemented } = definitions(TestService);
server.addService(implemented, {
  emptyCall,
  unaryCall,
  streamingOutputCall,
  streamingInputCall,
  fullDuplexCall,
  halfDuplexCall,
});
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`interop ready address=127.0.0.1:${port}\n`);
});
process.once("SIGTERM", () => server.forceShutdown());
