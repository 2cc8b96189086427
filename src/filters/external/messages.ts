import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { eachField } from "../../core/protobuf-fields.ts";
import type { AskedRequest, CheckAnswer, CheckQuestion, Peer } from "./check.ts";
import type { ServiceField } from "./service-fields.ts";

// The binary form of envoy.service.auth.v3. Field numbers are those of envoy/service/auth/v3/{attribute_context,external_auth}.proto.

/** `CheckRequest`, as a gRPC message. */
export function encodeQuestion(question: CheckQuestion): Buffer {
  const { source, destination, request, context, sni } = question;
  const writer = new BinaryWriter();
  open(writer, 1);
  writePeer(writer, 1, source);
  writePeer(writer, 2, destination);
  if (request !== undefined) writeRequest(writer, 4, request);
  for (const [name, value] of context) writeEntry(writer, 10, name, value);
  if (sni !== undefined) {
    open(writer, 12);
    text(writer, 1, sni);
    writer.join();
  }
  return Buffer.from(writer.join().finish());
}

function open(writer: BinaryWriter, field: number): void {
  writer.tag(field, WireType.LengthDelimited).fork();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  if (value !== "") writer.tag(field, WireType.LengthDelimited).string(value);
}

function writeEntry(writer: BinaryWriter, field: number, name: string, value: string): void {
  open(writer, field);
  writer.tag(1, WireType.LengthDelimited).string(name).tag(2, WireType.LengthDelimited).string(value).join();
}

/** `AttributeContext.Request` */
function writeRequest(writer: BinaryWriter, field: number, request: AskedRequest): void {
  const { time, id, method, headers, path, host, scheme, size, protocol } = request;
  open(writer, field);
  open(writer, 1);
  writer.tag(1, WireType.Varint).int64(Math.floor(time / 1000));
  writer
    .tag(2, WireType.Varint)
    .int32(Math.floor((time % 1000) * 1e6))
    .join();
  open(writer, 2);
  text(writer, 1, id);
  text(writer, 2, method);
  for (const [name, value] of headers) writeEntry(writer, 3, name, value);
  text(writer, 4, path);
  text(writer, 5, host);
  text(writer, 6, scheme);
  writer.tag(9, WireType.Varint).int64(size);
  text(writer, 10, protocol);
  writer.join().join();
}

/** `AttributeContext.Peer` */
function writePeer(writer: BinaryWriter, field: number, { address, service, principal }: Peer): void {
  open(writer, field);
  if (address !== undefined) {
    open(writer, 1);
    if (address.kind === "unix") {
      open(writer, 2);
      text(writer, 1, address.path);
    } else {
      open(writer, 1);
      text(writer, 2, address.host);
      writer.tag(3, WireType.Varint).uint32(address.port);
    }
    writer.join().join();
  }
  text(writer, 2, service);
  text(writer, 4, principal);
  writer.join();
}

/** Reads a `CheckResponse`. Throws where it is none. */
export function decodeAnswer(octets: Uint8Array): CheckAnswer {
  let code = 0;
  let why = "";
  let denied: CheckAnswer["denied"];
  let fields: readonly ServiceField[] = [];
  let answerFields: readonly ServiceField[] = [];
  let removed: readonly string[] = [];
  eachField(octets, {
    1: (reader) =>
      eachField(reader.bytes(), {
        1: (status) => {
          code = status.int32();
        },
        2: (status) => {
          why = status.string();
        },
      }),
    2: (reader) => {
      denied = decodeDenied(reader.bytes());
    },
    3: (reader) => {
      const ok = decodeOk(reader.bytes());
      ({ fields, answerFields, removed } = ok);
    },
  });
  return { code, why, denied, fields, answerFields, removed };
}

/** `DeniedHttpResponse` */
function decodeDenied(octets: Uint8Array): NonNullable<CheckAnswer["denied"]> {
  let status = 0;
  let body = "";
  const fields: ServiceField[] = [];
  eachField(octets, {
    1: (reader) =>
      eachField(reader.bytes(), {
        1: (http) => {
          status = http.int32();
        },
      }),
    2: (reader) => fields.push(decodeField(reader.bytes())),
    3: (reader) => {
      body = reader.string();
    },
  });
  return { status, body, fields };
}

/** `OkHttpResponse` */
function decodeOk(octets: Uint8Array): Pick<CheckAnswer, "fields" | "answerFields" | "removed"> {
  const fields: ServiceField[] = [];
  const answerFields: ServiceField[] = [];
  const removed: string[] = [];
  eachField(octets, {
    2: (reader) => fields.push(decodeField(reader.bytes())),
    5: (reader) => removed.push(reader.string()),
    6: (reader) => answerFields.push(decodeField(reader.bytes())),
  });
  return { fields, answerFields, removed };
}

/** `HeaderValueOption` */
function decodeField(octets: Uint8Array): ServiceField {
  let name = "";
  let value = Buffer.alloc(0);
  let append: boolean | undefined;
  let action = 0;
  eachField(octets, {
    1: (reader) =>
      eachField(reader.bytes(), {
        1: (header) => {
          name = header.string();
        },
        2: (header) => {
          value = Buffer.from(header.string(), "utf8");
        },
        3: (header) => {
          value = Buffer.from(header.bytes());
        },
      }),
    2: (reader) => {
      append = false;
      eachField(reader.bytes(), {
        1: (wrapped) => {
          append = wrapped.bool();
        },
      });
    },
    3: (reader) => {
      action = reader.int32();
    },
  });
  return { name, value: value.toString("latin1"), append, action };
}
