import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { decodeRequest, decodeResponse, encodeResponse } from "../../src/cluster/health-message.ts";
import { decodeOrca } from "../../src/cluster/orca.ts";
import { decodeAnswer as decodeCheck } from "../../src/filters/external/messages.ts";
import { readWorkload } from "../../src/identity/certificate.ts";
import { derToPem } from "../../src/identity/pem.ts";
import { readSvids } from "../../src/identity/workload-message.ts";
import { decodeAnswer as decodeRate } from "../../src/limits/rate-limit-messages.ts";
import { spokenBy } from "../../src/net/detect.ts";
import { readSockaddr } from "../../src/net/original-destination.ts";
import { readLevels } from "../../src/proxy/retry/idempotency-level.ts";
import { mutateOctets } from "./mutate.ts";
import { pick, shape, type Target } from "./target.ts";

/** Something that reads octets of others. It returns what it has made of them, or throws an Error that says what is wrong. */
type Read = (octets: Buffer) => unknown;

/** In the order of the first octet of an input. */
const readers: readonly (readonly [name: string, read: Read])[] = [
  ["orca", (octets) => decodeOrca(octets.toString("base64"))],
  ["orca text", (octets) => decodeOrca(octets.toString("latin1"))],
  ["health response", decodeResponse],
  ["health request", decodeRequest],
  ["rate limit", decodeRate],
  ["ext_authz", decodeCheck],
  ["SVIDs", readSvids],
  ["descriptors", levels],
  ["DER", derToPem],
  ["certificate", workload],
  ["first octets", firstOctets],
  ["sockaddr", readSockaddr],
];

/** A certificate for spiffe://test.mesh/ns/default/dc/dc1/svc/web, valid in 2030. */
const CERTIFICATE = Buffer.from(
  "MIICADCCAaWgAwIBAgIQa5hr2SxKJvVJqKa79UZdiDAKBggqhkjOPQQDAjA5MTcwNQYDVQQDEy50ZXN0Lm1lc2ggYTZkYTRjMDAtMmZhZS00Nzk4LTk3ODItY2Y2NTJlYTYzY2FkMB4XDTMwMDEwMTAwMDAwMFoXDTMxMDEwMTAwMDAwMFowDjEMMAoGA1UEAxMDd2ViMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAED3K+1Wq73+xOwHGOEh+8gye//WqwoVlFCWxIagea7n8pzrnKyR2a6zOoXYXKVL6/9crDJnePswB7xTun8sqJoaOBuTCBtjAMBgNVHRMBAf8EAjAAMA4GA1UdDwEB/wQEAwIHgDAdBgNVHSUEFjAUBggrBgEFBQcDAQYIKwYBBQUHAwIwHwYDVR0jBBgwFoAUAQNYXsKkD/gF7LsBHGnKgL3mU0EwHQYDVR0OBBYEFLFFau3iBuNbz/cJdCzc7hhavObmMDcGA1UdEQQwMC6GLHNwaWZmZTovL3Rlc3QubWVzaC9ucy9kZWZhdWx0L2RjL2RjMS9zdmMvd2ViMAoGCCqGSM49BAMCA0kAMEYCIQDoxRST2BNz6CyBXmuFanE+xAOEjr5L9TWlBkpa5zROqAIhAIEmE/OiwFXqn1nDpi2UJD1kOc2K4I72PqS9H914csDY",
  "base64",
);

/** Octets that a reader may make of one. */
const MOST_OF_ONE = 64;

/** Octets from the network, in protobuf, DER and other forms. */
export const messages: Target = {
  name: "messages",
  seeds: () => {
    const field = (number: number, octets: Buffer): Buffer =>
      Buffer.concat([Buffer.of(number * 8 + 2, octets.length), octets]);
    const double = (number: number): Buffer => Buffer.of(number * 8 + 1, 0, 0, 0, 0, 0, 0, 0xe0, 0x3f);
    const entry = field(8, Buffer.concat([field(1, Buffer.from("queue")), double(2)]));
    const method = Buffer.concat([field(1, Buffer.from("Get")), field(4, Buffer.of(0x90, 2, 1))]);
    const service = Buffer.concat([field(1, Buffer.from("S")), field(2, method)]);
    const descriptors = field(1, Buffer.concat([field(2, Buffer.from("p")), field(6, service)]));
    const header = field(
      2,
      Buffer.concat([field(1, Buffer.concat([field(1, Buffer.from("x-a")), field(2, Buffer.from("b"))]))]),
    );
    const seeds: readonly (readonly [string, Buffer])[] = [
      ["orca", Buffer.concat([double(1), double(6), entry])],
      ["orca text", Buffer.from("CQAAAAAAAOA/")],
      ["health response", encodeResponse("SERVING")],
      ["health request", field(1, Buffer.from("up"))],
      ["rate limit", Buffer.concat([Buffer.of(8, 2), field(2, Buffer.of(8, 1, 0x18, 5))])],
      [
        "ext_authz",
        Buffer.concat([field(1, Buffer.of(8, 7)), field(2, Buffer.concat([field(1, Buffer.of(8, 0x93, 3)), header]))]),
      ],
      [
        "SVIDs",
        field(
          1,
          Buffer.concat([field(1, Buffer.from("spiffe://td/a")), field(2, Buffer.of(0x30, 0)), field(3, Buffer.of(1))]),
        ),
      ],
      [
        "SVIDs",
        Buffer.concat([
          field(2, Buffer.of(1)),
          field(3, Buffer.concat([field(1, Buffer.from("td")), field(2, Buffer.of(0x30, 0))])),
        ]),
      ],
      ["SVIDs", Buffer.alloc(300, 0x0b)],
      ["descriptors", descriptors],
      ["DER", Buffer.of(0x30, 2, 5, 0, 0x30, 0x81, 1, 0)],
      ["certificate", CERTIFICATE],
      ["first octets", Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")],
      ["first octets", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
      ["first octets", Buffer.of(0x16, 3, 1, 0, 5, 1)],
      ["sockaddr", Buffer.of(2, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)],
    ];
    return seeds.map(([name, octets]) =>
      Buffer.concat([Buffer.of(readers.findIndex(([known]) => known === name)), octets]),
    );
  },
  mutate(input, random, others) {
    // The reader stays, mostly; and takes from what others of its kind read.
    const alike = others.filter((other) => other[0] === input[0]).map((other) => other.subarray(1));
    const head = random(20) === 0 ? random(readers.length) : (input[0] ?? 0);
    const from = alike.length > 0 && random(4) === 0 ? pick(random, alike) : input.subarray(1);
    return Buffer.concat([Buffer.of(head), mutateOctets(from, random, alike)]);
  },
  run(input) {
    const [name, read] = readers[(input[0] ?? 0) % readers.length] ?? assert.fail();
    const octets = input.subarray(1);
    try {
      const found = read(Buffer.from(octets));
      assert.ok(sizeOf(found) <= 4096 + MOST_OF_ONE * octets.length, `${sizeOf(found)} of ${octets.length} octets`);
      return [`${name}: ${Object.prototype.toString.call(found)} ${typeof found === "string" ? shape(found) : ""}`];
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.ok(error instanceof Error, "what is thrown is an error");
      return [`${name}: refused, ${shape(error.message)}`];
    }
  },
};

/** How much there is in a value. */
function sizeOf(value: unknown): number {
  const text = JSON.stringify(value, (_key, inner: unknown) => {
    if (inner instanceof Map) return [...inner];
    if (inner instanceof Uint8Array) return inner.length;
    return typeof inner === "bigint" ? `${inner}` : inner;
  });
  return text?.length ?? 0;
}

function levels(octets: Buffer): unknown {
  const methods: Parameters<typeof readLevels>[2] = new Map();
  for (const file of fromBinary(FileDescriptorSetSchema, octets).file) readLevels(file, "here", methods);
  return methods;
}

function workload(octets: Buffer): unknown {
  const found = readWorkload(new X509Certificate(octets));
  if (typeof found !== "string") assert.match(found.id.text, /^spiffe:\/\/[a-z0-9._-]+(?:\/[A-Za-z0-9._-]+)*$/);
  return found;
}

/** What a connection speaks is decided once: more octets change nothing. */
function firstOctets(octets: Buffer): unknown {
  let decided: string | undefined;
  for (let length = 0; length <= octets.length; length++) {
    const spoken = spokenBy(octets.subarray(0, length));
    if (decided !== undefined) assert.equal(spoken, decided);
    else if (spoken !== "unknown yet") decided = spoken;
  }
  return decided ?? "unknown yet";
}
