import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Metadata, ServiceError } from "@grpc/grpc-js";
import { eachField, type FieldReaders } from "../../src/core/protobuf-fields.ts";
import { type OctetAnswer, type OctetCall, OctetService } from "./octet-service.ts";

/** Everything that was said in a `CheckRequest`. */
export interface Asked {
  readonly source: AskedPeer;
  readonly destination: AskedPeer;
  /** Milliseconds since the Unix epoch. */
  readonly time: number;
  readonly id: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly path: string;
  readonly host: string;
  readonly scheme: string;
  readonly size: number;
  readonly protocol: string;
  readonly context: Readonly<Record<string, string>>;
  readonly sni: string | undefined;
  readonly metadata: Metadata;
  readonly deadline: Date | number;
}

export interface AskedPeer {
  readonly address: string;
  readonly service: string;
  readonly principal: string;
}

/** `HeaderValueOption`; `action` is the number of an `HeaderAppendAction`. */
export interface SaidField {
  readonly name: string;
  readonly value: string;
  readonly append?: boolean;
  readonly action?: number;
  /** Said as octets. */
  readonly raw?: boolean;
}

/** What is answered: a `CheckResponse`, an error, or nothing, ever. */
export type Said =
  | {
      readonly code?: number;
      readonly message?: string;
      readonly ok?: { fields?: readonly SaidField[]; removed?: readonly string[]; answer?: readonly SaidField[] };
      readonly denied?: { status?: number; body?: string; fields?: readonly SaidField[] };
    }
  | { readonly octets: Buffer }
  | { readonly error: number }
  | "nothing";

/** A small real server of envoy.service.auth.v3.Authorization. */
export class AuthorizationServer extends OctetService {
  readonly asked: Asked[] = [];
  /** Questions that were withdrawn before they were answered. */
  withdrawn = 0;
  answer: (asked: Asked) => Said = () => ({ code: 0 });

  constructor() {
    super("/envoy.service.auth.v3.Authorization/Check");
  }

  protected onCall(call: OctetCall, done: OctetAnswer): void {
    const asked = decode(call.request, call.metadata, call.getDeadline());
    this.asked.push(asked);
    const said = this.answer(asked);
    if (said === "nothing") call.on("cancelled", () => this.withdrawn++);
    else if ("error" in said) done({ code: said.error, details: "no" } satisfies Partial<ServiceError>);
    else done(null, "octets" in said ? said.octets : encode(said));
  }
}

function decode(octets: Uint8Array, metadata: Metadata, deadline: Date | number): Asked {
  const none = { address: "", service: "", principal: "" };
  const asked = {
    source: none,
    destination: none,
    time: 0,
    id: "",
    method: "",
    headers: {} as Record<string, string>,
    path: "",
    host: "",
    scheme: "",
    size: 0,
    protocol: "",
    context: {} as Record<string, string>,
    sni: undefined as string | undefined,
    metadata,
    deadline,
  };
  const http: FieldReaders = {
    1: (reader) => (asked.id = reader.string()),
    2: (reader) => (asked.method = reader.string()),
    3: (reader) => entry(reader.bytes(), asked.headers),
    4: (reader) => (asked.path = reader.string()),
    5: (reader) => (asked.host = reader.string()),
    6: (reader) => (asked.scheme = reader.string()),
    9: (reader) => (asked.size = Number(reader.int64())),
    10: (reader) => (asked.protocol = reader.string()),
  };
  const time: FieldReaders = {
    1: (reader) => (asked.time += Number(reader.int64()) * 1000),
    2: (reader) => (asked.time += reader.int32() / 1e6),
  };
  const attributes: FieldReaders = {
    1: (reader) => (asked.source = peer(reader.bytes())),
    2: (reader) => (asked.destination = peer(reader.bytes())),
    4: (reader) =>
      eachField(reader.bytes(), { 1: (of) => eachField(of.bytes(), time), 2: (of) => eachField(of.bytes(), http) }),
    10: (reader) => entry(reader.bytes(), asked.context),
    12: (reader) => eachField(reader.bytes(), { 1: (session) => (asked.sni = session.string()) }),
  };
  eachField(octets, { 1: (reader) => eachField(reader.bytes(), attributes) });
  return asked;
}

function entry(octets: Uint8Array, into: Record<string, string>): void {
  let name = "";
  let value = "";
  eachField(octets, { 1: (reader) => (name = reader.string()), 2: (reader) => (value = reader.string()) });
  into[name] = value;
}

function peer(octets: Uint8Array): AskedPeer {
  const found = { address: "", service: "", principal: "" };
  let host = "";
  let port = 0;
  const socket: FieldReaders = { 2: (reader) => (host = reader.string()), 3: (reader) => (port = reader.uint32()) };
  eachField(octets, {
    1: (reader) => eachField(reader.bytes(), { 1: (of) => eachField(of.bytes(), socket) }),
    2: (reader) => (found.service = reader.string()),
    4: (reader) => (found.principal = reader.string()),
  });
  return { ...found, address: host === "" ? "" : `${host}:${port}` };
}

function encode({ code = 0, message, ok, denied }: Extract<Said, { code?: number; ok?: unknown }>): Buffer {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.Varint).int32(code);
  if (message !== undefined) writer.tag(2, WireType.LengthDelimited).string(message);
  writer.join();
  if (denied !== undefined) {
    writer.tag(2, WireType.LengthDelimited).fork();
    if (denied.status !== undefined)
      writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.Varint).int32(denied.status).join();
    for (const field of denied.fields ?? []) writeField(writer, 2, field);
    if (denied.body !== undefined) writer.tag(3, WireType.LengthDelimited).string(denied.body);
    writer.join();
  }
  if (ok !== undefined) {
    writer.tag(3, WireType.LengthDelimited).fork();
    for (const field of ok.fields ?? []) writeField(writer, 2, field);
    for (const name of ok.removed ?? []) writer.tag(5, WireType.LengthDelimited).string(name);
    for (const field of ok.answer ?? []) writeField(writer, 6, field);
    writer.join();
  }
  return Buffer.from(writer.finish());
}

function writeField(writer: BinaryWriter, number: number, { name, value, append, action, raw }: SaidField): void {
  writer.tag(number, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).fork().tag(1, WireType.LengthDelimited).string(name);
  if (raw === true) writer.tag(3, WireType.LengthDelimited).bytes(Buffer.from(value, "utf8"));
  else writer.tag(2, WireType.LengthDelimited).string(value);
  writer.join();
  if (append !== undefined) writer.tag(2, WireType.LengthDelimited).fork().tag(1, WireType.Varint).bool(append).join();
  if (action !== undefined) writer.tag(3, WireType.Varint).int32(action);
  writer.join();
}
