"""gRPC's interoperability tests on Python's grpcio.

  grpcio_peer.py serve DESCRIPTOR              prints "interop ready address=HOST:PORT" and serves until SIGTERM
  grpcio_peer.py call DESCRIPTOR HOST:PORT CASE...   prints one line of JSON a case, as grpc-js-client.ts does

DESCRIPTOR is a file with the FileDescriptorProto of grpc/testing/messages.proto.
"""

import base64
import json
import queue
import signal
import sys
import time
from concurrent import futures

import grpc
from google.protobuf import descriptor_pool, message_factory

mode, descriptor, *rest = sys.argv[1:]
with open(descriptor, "rb") as file:
    descriptor_pool.Default().AddSerializedFile(file.read())


def message(name):
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(f"grpc.testing.{name}"))


Empty, BoolValue, EchoStatus, Payload = map(message, ["Empty", "BoolValue", "EchoStatus", "Payload"])
SimpleRequest, SimpleResponse = message("SimpleRequest"), message("SimpleResponse")
InputRequest, InputResponse = message("StreamingInputCallRequest"), message("StreamingInputCallResponse")
OutputRequest, OutputResponse = message("StreamingOutputCallRequest"), message("StreamingOutputCallResponse")
Parameters = message("ResponseParameters")

INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
SERVICE = "grpc.testing.TestService"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
REQUEST_SIZES, RESPONSE_SIZES = [27182, 8, 1828, 45904], [31415, 9, 2653, 58979]


def payload(size):
    return Payload(body=bytes(size))


# --- the server ---


def echo(context):
    for key, value in context.invocation_metadata():
        if key == INITIAL:
            context.send_initial_metadata(((key, value),))
        if key == TRAILING:
            context.set_trailing_metadata(((key, value),))


def end(context, status):
    if status.code:
        codes = {code.value[0]: code for code in grpc.StatusCode}
        context.abort(codes[status.code], status.message)


def outputs(context, parameters):
    for wanted in parameters:
        time.sleep(wanted.interval_us / 1e6)
        if wanted.HasField("compressed") and not wanted.compressed.value:
            context.disable_next_message_compression()
        yield OutputResponse(payload=payload(wanted.size))


def unary_call(request, context):
    if request.response_compressed.value:
        context.set_compression(grpc.Compression.Gzip)
    echo(context)
    end(context, request.response_status)
    return SimpleResponse(payload=payload(request.response_size))


def streaming_output_call(request, context):
    if any(wanted.compressed.value for wanted in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)
    yield from outputs(context, request.response_parameters)


def streaming_input_call(requests, context):
    return InputResponse(aggregated_payload_size=sum(len(request.payload.body) for request in requests))


def full_duplex_call(requests, context):
    echo(context)
    for request in requests:
        end(context, request.response_status)
        yield from outputs(context, request.response_parameters)


def half_duplex_call(requests, context):
    wanted = [parameters for request in requests for parameters in request.response_parameters]
    yield from outputs(context, wanted)


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=OPTIONS)
    kinds = {
        "EmptyCall": (grpc.unary_unary_rpc_method_handler, lambda request, context: Empty(), Empty),
        "UnaryCall": (grpc.unary_unary_rpc_method_handler, unary_call, SimpleRequest),
        "StreamingOutputCall": (grpc.unary_stream_rpc_method_handler, streaming_output_call, OutputRequest),
        "StreamingInputCall": (grpc.stream_unary_rpc_method_handler, streaming_input_call, InputRequest),
        "FullDuplexCall": (grpc.stream_stream_rpc_method_handler, full_duplex_call, OutputRequest),
        "HalfDuplexCall": (grpc.stream_stream_rpc_method_handler, half_duplex_call, OutputRequest),
    }
    handlers = {
        name: make(handler, request.FromString, lambda answer: answer.SerializeToString())
        for name, (make, handler, request) in kinds.items()
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"interop ready address=127.0.0.1:{port}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0))
    server.wait_for_termination()


# --- the client ---


def plain(metadata):
    """Metadata without what every answer has another of."""
    found = {}
    for key, value in sorted(pair for pair in metadata or () if pair[0] != "date"):
        found.setdefault(key, []).append(base64.b64encode(value).decode() if isinstance(value, bytes) else value)
    return found


def seen(call, sizes):
    """All that a caller can see of a call that is over."""
    return {
        "code": call.code().value[0],
        "details": call.details(),
        "head": plain(call.initial_metadata()),
        "trailers": plain(call.trailing_metadata()),
        "sizes": sizes,
    }


def one(call):
    """Waits for the one answer of a call."""
    sizes = []
    try:
        answer = call.result()
        sizes.append(len(answer.payload.body) if hasattr(answer, "payload") else getattr(answer, "aggregated_payload_size", 0))
    except (grpc.RpcError, grpc.FutureCancelledError):
        pass
    return seen(call, sizes)


def many(call, sizes=()):
    """Reads the answers of a call, after those that were read."""
    sizes = list(sizes)
    try:
        for answer in call:
            sizes.append(len(answer.payload.body))
    except grpc.RpcError:
        pass
    return seen(call, sizes)


class Caller:
    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, OPTIONS + [("grpc.use_local_subchannel_pool", 1)])

    def call(self, make, method, answer, request, service=SERVICE, **options):
        stub = make(f"/{service}/{method}", lambda one: one.SerializeToString(), answer.FromString)
        return stub.future(request, **options) if hasattr(stub, "future") else stub(request, **options)

    def unary(self, request, **options):
        return one(self.call(self.channel.unary_unary, "UnaryCall", SimpleResponse, request, **options))

    def empty(self, method, **options):
        return one(self.call(self.channel.unary_unary, method, Empty, Empty(), **options))

    def inputs(self, requests, **options):
        return self.call(self.channel.stream_unary, "StreamingInputCall", InputResponse, requests, **options)

    def output(self, request):
        return self.call(self.channel.unary_stream, "StreamingOutputCall", OutputResponse, request)

    def duplex(self, **options):
        waiting = queue.SimpleQueue()
        call = self.call(self.channel.stream_stream, "FullDuplexCall", OutputResponse, iter(waiting.get, None), **options)
        return waiting, call


def output_request(*sizes, send=0, **more):
    return OutputRequest(response_parameters=[Parameters(size=size) for size in sizes], payload=payload(send), **more)


def large(**more):
    return SimpleRequest(response_size=314159, payload=payload(271828), **more)


def ping_pong(caller):
    requests, call = caller.duplex()
    sizes = []
    for send, want in zip(REQUEST_SIZES, RESPONSE_SIZES):
        requests.put(output_request(want, send=send))
        sizes.append(len(next(call).payload.body))
    requests.put(None)
    return [many(call, sizes)]


def empty_stream(caller):
    requests, call = caller.duplex()
    requests.put(None)
    return [many(call)]


def custom_metadata(caller):
    metadata = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\x0a\x0b\x0a\x0b\x0a\x0b"))
    unary = caller.unary(SimpleRequest(response_size=1, payload=payload(1)), metadata=metadata)
    requests, call = caller.duplex(metadata=metadata)
    requests.put(output_request(1, send=1))
    size = len(next(call).payload.body)
    requests.put(None)
    return [unary, many(call, [size])]


def status_code_and_message(caller):
    status = EchoStatus(code=2, message="test status message")
    unary = caller.unary(SimpleRequest(response_status=status))
    requests, call = caller.duplex()
    requests.put(output_request(response_status=status))
    requests.put(None)
    return [unary, many(call)]


def special_status_message(caller):
    text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    return [caller.unary(SimpleRequest(response_status=EchoStatus(code=2, message=text)))]


def cancel_after_begin(caller):
    call = caller.inputs(iter(queue.SimpleQueue().get, None))
    time.sleep(0.02)
    call.cancel()
    return [one(call)]


def cancel_after_first_response(caller):
    requests, call = caller.duplex()
    requests.put(output_request(31415, send=27182))
    size = len(next(call).payload.body)
    call.cancel()
    requests.put(None)
    return [many(call, [size])]


def timeout_on_sleeping_server(caller):
    requests, call = caller.duplex(timeout=0.05)
    requests.put(output_request(send=27182))
    result = many(call)
    requests.put(None)
    # Who says so first, with how many milliseconds in its message, is a matter of chance.
    return [{"code": result["code"], "sizes": result["sizes"]}]


def server_compressed_streaming(caller):
    wanted = [Parameters(size=31415, compressed=BoolValue(value=True)), Parameters(size=92653, compressed=BoolValue())]
    return [many(caller.output(OutputRequest(response_parameters=wanted)))]


CASES = {
    "empty_unary": lambda caller: [caller.empty("EmptyCall")],
    "large_unary": lambda caller: [caller.unary(large())],
    "client_streaming": lambda caller: [
        one(caller.inputs(InputRequest(payload=payload(size)) for size in REQUEST_SIZES))
    ],
    "server_streaming": lambda caller: [many(caller.output(output_request(*RESPONSE_SIZES)))],
    "ping_pong": ping_pong,
    "empty_stream": empty_stream,
    "client_compressed_unary": lambda caller: [caller.unary(large(), compression=grpc.Compression.Gzip)],
    "client_compressed_streaming": lambda caller: [
        one(
            caller.inputs(
                (InputRequest(payload=payload(size)) for size in [27182, 45904]), compression=grpc.Compression.Gzip
            )
        )
    ],
    "server_compressed_unary": lambda caller: [
        caller.unary(large(response_compressed=BoolValue(value=value))) for value in [True, False]
    ],
    "server_compressed_streaming": server_compressed_streaming,
    "custom_metadata": custom_metadata,
    "status_code_and_message": status_code_and_message,
    "special_status_message": special_status_message,
    "unimplemented_method": lambda caller: [caller.empty("UnimplementedCall")],
    "unimplemented_service": lambda caller: [
        caller.empty("UnimplementedCall", service="grpc.testing.UnimplementedService")
    ],
    "cancel_after_begin": cancel_after_begin,
    "cancel_after_first_response": cancel_after_first_response,
    "timeout_on_sleeping_server": timeout_on_sleeping_server,
}


def call_all(address, names):
    for name in names:
        caller = Caller(address)
        print(json.dumps({"case": name, "seen": CASES[name](caller)}), flush=True)
        caller.channel.close()


if mode == "serve":
    serve()
else:
    call_all(rest[0], rest[1:])
