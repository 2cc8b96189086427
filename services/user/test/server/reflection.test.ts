import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { fromBinary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
  type ServerReflectionResponseSchema,
} from "../../api/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../api/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { clientOf } from "../../internal/grpc-client.ts";
import { collect, serve } from "../support/serve.ts";

type Question = NonNullable<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"]>;
type Answer = MessageShape<typeof ServerReflectionResponseSchema>["messageResponse"];

async function ask(t: TestContext, ...questions: Question[]): Promise<Answer[]> {
  const { channel } = await serve(t);
  const requests = async function* () {
    for (const messageRequest of questions) yield { host: "here", messageRequest };
  };
  const responses = await collect(clientOf(ServerReflection, channel).serverReflectionInfo(requests()));
  for (const [index, response] of responses.entries()) {
    assert.equal(response.validHost, "here");
    assert.deepEqual(response.originalRequest?.messageRequest, questions[index]);
  }
  return responses.map(({ messageResponse }) => messageResponse);
}

function filesIn(answer: Answer | undefined): string[] {
  assert.ok(answer?.case === "fileDescriptorResponse", `it is ${answer?.case}`);
  return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
}

const SERVICES = [
  "user.v1.UserService",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];
const USER_FILES = [
  "user.proto",
  "google/protobuf/field_mask.proto",
  "google/protobuf/timestamp.proto",
  "google/rpc/status.proto",
  "google/protobuf/any.proto",
];

describe("server reflection", () => {
  it("lists the services", async (t) => {
    const [answer] = await ask(t, { case: "listServices", value: "" });
    assert.ok(answer?.case === "listServicesResponse");
    assert.deepEqual(
      answer.value.service.map(({ name }) => name),
      SERVICES,
    );
  });

  it("gives a file with all that it imports, each once", async (t) => {
    const [answer] = await ask(t, { case: "fileByFilename", value: "user.proto" });
    assert.deepEqual(filesIn(answer), USER_FILES);
  });

  it("gives the file of every service, message, method, field and enum value", async (t) => {
    const symbols: [string, string][] = [
      ...SERVICES.map((name): [string, string] => [name, ""]),
      ["user.v1.User", "user.proto"],
      ["user.v1.UserService.GetUser", "user.proto"],
      ["user.v1.User.display_name", "user.proto"],
      ["user.v1.UserChange.change", "user.proto"],
      ["google.rpc.BadRequest.FieldViolation", "google/rpc/error_details.proto"],
      ["google.protobuf.Timestamp", "google/protobuf/timestamp.proto"],
      ["grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
      ["grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING", "grpc/health/v1/health.proto"],
    ];
    const questions = symbols.map(([value]): Question => ({ case: "fileContainingSymbol", value }));
    const answers = await ask(t, ...questions);
    for (const [index, [symbol, file]] of symbols.entries()) {
      const [first] = filesIn(answers[index]);
      if (file === "") assert.ok(first, symbol);
      else assert.equal(first, file, symbol);
    }
  });

  it("says NOT_FOUND to what it does not know, and answers on", async (t) => {
    const answers = await ask(
      t,
      { case: "fileByFilename", value: "user" },
      { case: "fileContainingSymbol", value: "user.v1.Nothing" },
      { case: "fileContainingSymbol", value: "user.v1.User.nothing" },
      { case: "fileContainingSymbol", value: "user.v1.UserService.Nothing" },
      { case: "fileContainingSymbol", value: "" },
      {
        case: "fileContainingExtension",
        value: { $typeName: "grpc.reflection.v1.ExtensionRequest", containingType: "user.v1.User", extensionNumber: 1 },
      },
      { case: "allExtensionNumbersOfType", value: "user.v1.Nothing" },
      { case: "allExtensionNumbersOfType", value: "user.v1.User" },
      { case: undefined },
    );
    const codes = answers.map((answer) => (answer.case === "errorResponse" ? answer.value.errorCode : answer.case));
    const extensions = "allExtensionNumbersResponse";
    assert.deepEqual(codes, [...Array(7).fill(status.NOT_FOUND), extensions, status.INVALID_ARGUMENT]);
  });

  it("speaks v1alpha to older tools", async (t) => {
    const { channel } = await serve(t);
    const requests = async function* () {
      yield { messageRequest: { case: "fileContainingSymbol", value: "user.v1.User" } } as const;
    };
    const [response] = await collect(clientOf(ServerReflectionV1alpha, channel).serverReflectionInfo(requests()));
    assert.ok(response?.messageResponse.case === "fileDescriptorResponse");
    assert.equal(response.messageResponse.value.fileDescriptorProto.length, USER_FILES.length);
  });
});
