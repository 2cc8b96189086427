import {
  createRegistry,
  type DescFile,
  type DescService,
  type MessageInitShape,
  type Registry,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../api/gen/grpc/reflection/v1/reflection_pb.ts";
import type { Implementation } from "./grpc-adapter.ts";

type Answer = NonNullable<MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]>;

/**
 * Server reflection over the descriptors that protobuf-es generates.
 *
 * @param services what is listed
 * @param files further files whose types are answered for, as those that travel in error details
 */
export function reflectionOf(
  services: readonly DescService[],
  files: readonly DescFile[],
): Implementation<typeof ServerReflection> {
  const known = withImports([...services.map(({ file }) => file), ...files]);
  const types = createRegistry(...known);
  return {
    async serverReflectionInfo(requests, send) {
      for await (const request of requests) {
        const messageResponse = answerTo(request.messageRequest, services, known, types);
        await send({ validHost: request.host, originalRequest: request, messageResponse });
      }
    },
  };
}

function answerTo(
  request: ServerReflectionRequest["messageRequest"],
  services: readonly DescService[],
  known: readonly DescFile[],
  types: Registry,
): Answer {
  switch (request.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: services.map(({ typeName }) => ({ name: typeName })) } };
    case "fileByFilename":
      return filesOf(
        known.find(({ name }) => `${name}.proto` === request.value),
        request.value,
      );
    case "fileContainingSymbol":
      return filesOf(fileOfSymbol(types, request.value), request.value);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = request.value;
      return notFound(`extension ${extensionNumber} of ${containingType}`);
    }
    case "allExtensionNumbersOfType": {
      // Protobuf 3 has no extensions; a type that is known has none of them.
      const { value } = request;
      if (types.getMessage(value) === undefined) return notFound(value);
      return { case: "allExtensionNumbersResponse", value: { baseTypeName: value, extensionNumber: [] } };
    }
    case undefined:
      return failed(status.INVALID_ARGUMENT, "the request asks nothing");
  }
}

/** A symbol is a type, a service, or a member of one: a method, a field, an enum value. */
function fileOfSymbol(types: Registry, symbol: string): DescFile | undefined {
  const found = types.get(symbol);
  if (found) return found.file;
  const dot = symbol.lastIndexOf(".");
  const parent = dot < 0 ? undefined : types.get(symbol.slice(0, dot));
  const member = symbol.slice(dot + 1);
  if (parent === undefined) return undefined;
  switch (parent.kind) {
    case "service":
      return parent.methods.some(({ name }) => name === member) ? parent.file : undefined;
    case "message":
      return parent.members.some(({ name }) => name === member) ? parent.file : undefined;
    case "enum":
      return parent.values.some(({ name }) => name === member) ? parent.file : undefined;
    case "extension":
      return undefined;
  }
}

function filesOf(file: DescFile | undefined, asked: string): Answer {
  if (file === undefined) return notFound(asked);
  const fileDescriptorProto = withImports([file]).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
}

/** Files with all that they import, each once, what was asked for first. */
function withImports(files: readonly DescFile[]): DescFile[] {
  const all = new Set<DescFile>(files);
  // A set is iterated in the order of insertion, including what is added meanwhile.
  for (const file of all) for (const dependency of file.dependencies) all.add(dependency);
  return [...all];
}

function notFound(what: string): Answer {
  return failed(status.NOT_FOUND, `${what} is not known`);
}

function failed(errorCode: status, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
