import {
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition } from "@grpc/grpc-js";

/** How grpc-js calls and encodes a method that protobuf-es describes. */
export function methodDefinition(
  method: DescMethod,
  serviceName = method.parent.typeName,
): MethodDefinition<Message, Message> {
  const { input, output, methodKind } = method;
  return {
    path: `/${serviceName}/${method.name}`,
    requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
    responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
    requestSerialize: (message) => encode(input, message),
    requestDeserialize: (bytes) => fromBinary(input, bytes),
    responseSerialize: (message) => encode(output, message),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}

/**
 * The definitions of all methods of a service by their names in TypeScript ("getUser").
 *
 * @param serviceName its name on the wire, where one of the same messages is known by another
 */
export function serviceDefinition(
  service: DescService,
  serviceName = service.typeName,
): Record<string, MethodDefinition<Message, Message>> {
  return Object.fromEntries(service.methods.map((method) => [method.localName, methodDefinition(method, serviceName)]));
}

function encode(schema: DescMessage, message: Message): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
