import {
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";

/** How grpc-js makes and serves a call of a method that protobuf-es describes. */
export function definition(method: DescMethod): MethodDefinition<Message, Message> {
  const { input, output, methodKind } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
    responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
    requestSerialize: (message) => encode(input, message),
    requestDeserialize: (octets) => fromBinary(input, octets),
    responseSerialize: (message) => encode(output, message),
    responseDeserialize: (octets) => fromBinary(output, octets),
  };
}

/** The definitions of a service's methods by their names in TypeScript. */
export function definitions(service: DescService): Record<string, MethodDefinition<Message, Message>> {
  return Object.fromEntries(service.methods.map((method) => [method.localName, definition(method)]));
}

function encode(schema: DescMessage, message: Message): Buffer {
  const octets = toBinary(schema, message);
  return Buffer.from(octets.buffer, octets.byteOffset, octets.byteLength);
}
