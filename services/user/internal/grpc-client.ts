import { once } from "node:events";
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  type Message,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import {
  type Client,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  type CallOptions as GrpcCallOptions,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { methodDefinition } from "./grpc-definition.ts";

/** What a caller may say of one call. */
export interface CallOptions {
  /** Milliseconds from now; the server is told. */
  readonly timeout?: number;
  /** Cancels the call. */
  readonly signal?: AbortSignal;
  readonly metadata?: Metadata;
  /** Called with the initial metadata, if the answer has any. */
  readonly onHeader?: (metadata: Metadata) => void;
  /** Called with the trailing metadata, also when the call failed. */
  readonly onTrailer?: (metadata: Metadata) => void;
}

type MethodShape = Pick<DescMethod, "methodKind"> & { readonly input: DescMessage; readonly output: DescMessage };

interface Calls<Request, Response> {
  unary: (request: Request, options?: CallOptions) => Promise<Response>;
  client_streaming: (requests: AsyncIterable<Request>, options?: CallOptions) => Promise<Response>;
  server_streaming: (request: Request, options?: CallOptions) => AsyncIterable<Response>;
  bidi_streaming: (requests: AsyncIterable<Request>, options?: CallOptions) => AsyncIterable<Response>;
}

/**
 * The methods of a service as async functions. A call that fails throws grpc-js's `ServiceError`; one whose responses
 * are no longer read is cancelled. Requests are taken from their iterable as fast as the server takes them.
 */
export type ServiceClient<S extends { readonly method: Record<string, MethodShape> }> = {
  readonly [Name in keyof S["method"]]: Calls<
    MessageInitShape<S["method"][Name]["input"]>,
    MessageShape<S["method"][Name]["output"]>
  >[S["method"][Name]["methodKind"]];
};

/** Calls a service over a channel of grpc-js, which stays the caller's to close. */
export function clientOf<S extends DescService>(service: S, channel: Client): ServiceClient<S> {
  const calls = service.methods.map((method) => [method.localName, callOf(method, channel)]);
  // The type says of each method what `callOf` does for its kind.
  return Object.fromEntries(calls) as ServiceClient<S>;
}

type MessageCalls = Calls<MessageInitShape<DescMessage>, Message>;

function callOf(method: DescMethod, channel: Client): MessageCalls[DescMethod["methodKind"]] {
  switch (method.methodKind) {
    case "unary":
      return unaryCall(method, channel);
    case "client_streaming":
      return clientStreamingCall(method, channel);
    case "server_streaming":
      return serverStreamingCall(method, channel);
    case "bidi_streaming":
      return bidiStreamingCall(method, channel);
  }
}

function unaryCall(method: DescMethod, channel: Client): MessageCalls["unary"] {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  return (request, options = {}) =>
    new Promise((resolve, reject) => {
      const message = create(method.input, request);
      const done = settle(resolve, reject);
      const call = channel.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        message,
        ...sent(options),
        done,
      );
      attach(call, options);
    });
}

function clientStreamingCall(method: DescMethod, channel: Client): MessageCalls["client_streaming"] {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  return (requests, options = {}) =>
    new Promise((resolve, reject) => {
      const done = settle(resolve, reject);
      const call = channel.makeClientStreamRequest(path, requestSerialize, responseDeserialize, ...sent(options), done);
      attach(call, options);
      pump(method, requests, call).catch(reject);
    });
}

function serverStreamingCall(method: DescMethod, channel: Client): MessageCalls["server_streaming"] {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  return (request, options = {}) => {
    const message = create(method.input, request);
    const call = channel.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      ...sent(options),
    );
    attach(call, options);
    return responsesOf(call);
  };
}

function bidiStreamingCall(method: DescMethod, channel: Client): MessageCalls["bidi_streaming"] {
  const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
  return (requests, options = {}) => {
    const call = channel.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, ...sent(options));
    attach(call, options);
    pump(method, requests, call).catch((error) => call.destroy(error));
    return responsesOf(call);
  };
}

function sent({ metadata, timeout }: CallOptions): [Metadata, GrpcCallOptions] {
  return [metadata ?? new Metadata(), timeout === undefined ? {} : { deadline: Date.now() + timeout }];
}

function attach(call: ClientUnaryCall, { signal, onHeader, onTrailer }: CallOptions): void {
  const cancel = () => call.cancel();
  if (signal?.aborted) cancel();
  signal?.addEventListener("abort", cancel);
  if (onHeader) call.on("metadata", onHeader);
  call.on("status", ({ metadata }) => {
    signal?.removeEventListener("abort", cancel);
    onTrailer?.(metadata);
  });
}

function settle(resolve: (response: Message) => void, reject: (error: unknown) => void) {
  return (error: ServiceError | null, response?: Message): void => {
    if (response) resolve(response);
    else reject(error ?? new Error("the call ended without a response"));
  };
}

/** Sends all requests, then half-closes. A failure of the iterable cancels the call; the end of the call ends it. */
async function pump(
  method: DescMethod,
  requests: AsyncIterable<MessageInitShape<DescMessage>>,
  call: ClientWritableStream<Message>,
): Promise<void> {
  const over = new AbortController();
  call.once("status", () => over.abort());
  try {
    for await (const request of requests) {
      if (over.signal.aborted) return;
      if (!call.write(create(method.input, request))) await once(call, "drain", { signal: over.signal });
    }
    call.end();
  } catch (error) {
    if (over.signal.aborted) return;
    call.cancel();
    throw error;
  }
}

function responsesOf(call: ClientReadableStream<Message>): AsyncIterable<Message> {
  // The error is thrown where the responses are read; a call that nobody reads must not end the process.
  call.on("error", () => {});
  return read(call);
}

async function* read(call: ClientReadableStream<Message>): AsyncGenerator<Message, void> {
  try {
    yield* call;
  } finally {
    call.cancel();
  }
}
