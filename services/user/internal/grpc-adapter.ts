import { setImmediate } from "node:timers/promises";
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
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedHandleCall,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Logger } from "pino";
import { type CallContext, contextOf } from "./call-context.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import { type Send, senderTo } from "./sender.ts";

type MethodShape = Pick<DescMethod, "methodKind"> & { readonly input: DescMessage; readonly output: DescMessage };
type In<M extends MethodShape> = MessageShape<M["input"]>;
type Out<M extends MethodShape> = MessageInitShape<M["output"]>;

interface Handlers<Request, Response> {
  unary: (request: Request, context: CallContext) => Promise<Response>;
  client_streaming: (requests: AsyncIterable<Request>, context: CallContext) => Promise<Response>;
  server_streaming: (request: Request, send: Send<Response>, context: CallContext) => Promise<void>;
  bidi_streaming: (requests: AsyncIterable<Request>, send: Send<Response>, context: CallContext) => Promise<void>;
}

/**
 * A service as its author writes it: an async function for each method that protobuf-es describes, which may be given
 * and may return messages without their names. The status of a call is OK, or the `GrpcFailure` that was thrown.
 */
export type Implementation<S extends { readonly method: Record<string, MethodShape> }> = {
  readonly [Name in keyof S["method"]]: Handlers<
    In<S["method"][Name]>,
    Out<S["method"][Name]>
  >[S["method"][Name]["methodKind"]];
};

/** The service as grpc-js calls it. Anything thrown but a `GrpcFailure` is INTERNAL, with the cause only in the log. */
export function implement<S extends DescService>(
  service: S,
  implementation: Implementation<S>,
  log: Logger,
): UntypedServiceImplementation {
  const handlers: Readonly<Record<string, unknown>> = implementation;
  return Object.fromEntries(
    service.methods.map((method) => [method.localName, adapt(method, handlers[method.localName], log)]),
  );
}

/** `Implementation` has tied the type of the handler to the kind of the method; here it is only asserted again. */
function adapt(method: DescMethod, handler: unknown, log: Logger): UntypedHandleCall {
  switch (method.methodKind) {
    case "unary":
      return adaptUnary(method, handler as MessageHandlers["unary"], log);
    case "client_streaming":
      return adaptClientStreaming(method, handler as MessageHandlers["client_streaming"], log);
    case "server_streaming":
      return adaptServerStreaming(method, handler as MessageHandlers["server_streaming"], log);
    case "bidi_streaming":
      return adaptBidiStreaming(method, handler as MessageHandlers["bidi_streaming"], log);
  }
}

type MessageHandlers = Handlers<Message, MessageInitShape<DescMessage>>;

function adaptUnary(method: DescMethod, handle: MessageHandlers["unary"], log: Logger) {
  return (call: ServerUnaryCall<Message, Message>, callback: sendUnaryData<Message>) => {
    const context = contextOf(call);
    respond(method, handle(call.request, context), context, callback, log);
  };
}

function adaptClientStreaming(method: DescMethod, handle: MessageHandlers["client_streaming"], log: Logger) {
  return (call: ServerReadableStream<Message, Message>, callback: sendUnaryData<Message>) => {
    const context = contextOf(call);
    respond(method, handle(requestsOf(call, context), context), context, callback, log);
  };
}

function adaptServerStreaming(method: DescMethod, handle: MessageHandlers["server_streaming"], log: Logger) {
  return (call: ServerWritableStream<Message, Message>) => {
    const context = contextOf(call);
    finish(method, handle(call.request, senderOf(call, method, context), context), context, call, log);
  };
}

function adaptBidiStreaming(method: DescMethod, handle: MessageHandlers["bidi_streaming"], log: Logger) {
  return (call: ServerDuplexStream<Message, Message>) => {
    const context = contextOf(call);
    finish(method, handle(requestsOf(call, context), senderOf(call, method, context), context), context, call, log);
  };
}

/** Ends a call that has one response. */
function respond(
  method: DescMethod,
  outcome: Promise<MessageInitShape<DescMessage>>,
  context: CallContext,
  callback: sendUnaryData<Message>,
  log: Logger,
): void {
  outcome.then(
    (response) => callback(null, create(method.output, response)),
    (error) => callback(failureOf(error, method, context, log)),
  );
}

/** Ends a call that has a stream of responses. */
function finish(
  method: DescMethod,
  outcome: Promise<void>,
  context: CallContext,
  call: ServerWritableStream<Message, Message> | ServerDuplexStream<Message, Message>,
  log: Logger,
): void {
  outcome.then(
    () => call.end(),
    // grpc-js's way to end a stream with a status; what was written before is still sent.
    (error) => call.emit("error", failureOf(error, method, context, log)),
  );
}

/**
 * The requests, read as fast as they are asked for. Leaving the loop early leaves the call able to answer.
 *
 * Clients on Node's HTTP/2 end their half of a stream that they cancel, and reset it right after. What is done at the end
 * of the requests should not be done for them, so where both are there already the end waits for the reset.
 */
async function* requestsOf(
  call: ServerReadableStream<Message, Message> | ServerDuplexStream<Message, Message>,
  { signal }: CallContext,
): AsyncGenerator<Message, void> {
  yield* call.iterator({ destroyOnReturn: false });
  await setImmediate();
  signal.throwIfAborted();
}

function senderOf(
  call: ServerWritableStream<Message, Message> | ServerDuplexStream<Message, Message>,
  method: DescMethod,
  { signal }: CallContext,
): Send<MessageInitShape<DescMessage>> {
  const send = senderTo<Message>(call, signal);
  return (message) => send(create(method.output, message));
}

function failureOf(error: unknown, method: DescMethod, { signal }: CallContext, log: Logger): GrpcFailure {
  // Once the call is over, whatever is thrown comes from that.
  if (signal.aborted && signal.reason instanceof GrpcFailure) return signal.reason;
  if (error instanceof GrpcFailure) return error;
  log.error({ err: error, method: method.name }, "method failed");
  return new GrpcFailure(status.INTERNAL, "internal error");
}
