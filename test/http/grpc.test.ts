import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encodeMessage,
  formatTimeout,
  httpOfStatus,
  isGrpc,
  parseStatus,
  parseTimeout,
  statusOfHttp,
  statusOfReset,
} from "../../src/http/grpc.ts";
import { Status } from "../../src/http/reason.ts";
import { seededRandom } from "../support/random.ts";

test("a grpc-timeout is read in every unit", () => {
  const cases: [text: string, ms: number][] = [
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3000],
    ["4m", 4],
    ["5u", 0.005],
    ["6n", 0.000_006],
    ["0S", 0],
    ["00000001S", 1000],
    ["99999999H", 99_999_999 * 3_600_000],
  ];
  for (const [text, ms] of cases) assert.equal(parseTimeout(text), ms, text);
});

test("a malformed grpc-timeout is none", () => {
  for (const text of [
    "",
    "S",
    "1",
    "1s",
    "1h",
    " 1S",
    "1S ",
    "1 S",
    "-1S",
    "+1S",
    "1.5S",
    "123456789S",
    "0x1S",
    "1e3m",
    "١S",
  ])
    assert.equal(parseTimeout(text), undefined, JSON.stringify(text));
});

test("a grpc-timeout that is written is lawful, never more than is left, and loses less than a part in a thousand", () => {
  const random = seededRandom(7);
  const edges = [0.0001, 0.001, 1, 99.999, 100, 99_998.9, 99_999, 99_999_998, 99_999_999, 1e11, 1e13, 1e14];
  for (const ms of [...edges, ...Array.from({ length: 5000 }, () => 10 ** (random() * 14 - 3))]) {
    const text = formatTimeout(ms);
    assert.match(text, /^\d{1,8}[HMSmun]$/, `${ms}`);
    const read = parseTimeout(text);
    assert.ok(read !== undefined && read <= Math.max(ms, 1e-6) * (1 + 1e-12), `${ms} became ${text}`);
    // Beyond 8 digits of seconds, three years, less is told than is left.
    if (ms < 99_999_999_000) assert.ok(read >= ms * 0.999, `${ms} became ${text}`);
  }
  assert.equal(formatTimeout(0), "0n");
  assert.equal(formatTimeout(-5), "0n");
});

test("a grpc-message is printable ASCII whatever it says, reads back, and is at most 1,024 octets", () => {
  const texts = ["plain text", "100% of it", "line\nbreak\ttab", "größer €", "\u{1F608}", "~ !", "", "\u0000\u007f"];
  for (const text of texts) {
    const encoded = encodeMessage(text);
    assert.match(encoded, /^[ -~]*$/);
    assert.equal(decodeURIComponent(encoded), text);
  }
  assert.equal(encodeMessage("a b%"), "a b%25");
  for (const text of ["x".repeat(5000), "€".repeat(5000), "%".repeat(5000)]) {
    const encoded = encodeMessage(text);
    assert.ok(encoded.length <= 1024 && encoded.length > 1000, `${encoded.length}`);
    assert.match(encoded, /^(?:[ -$&-~]|%[0-9A-F]{2})*$/, "no escape is cut");
  }
});

test("gRPC is told by its content type", () => {
  for (const type of ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"])
    assert.ok(isGrpc(type));
  for (const type of [undefined, "", "application/grpc-web", "application/grpcx", "text/html", "Application/GRPC "])
    assert.ok(!isGrpc(type), String(type));
});

test("statuses are read as gRPC's servers write them", () => {
  for (let code = 0; code <= 16; code++) assert.equal(parseStatus(String(code)), code);
  for (const text of [undefined, "", "17", "99", "-1", "1.0", "OK", " 0", "100"])
    assert.equal(parseStatus(text), Status.UNKNOWN, JSON.stringify(text));
});

test("the statuses of HTTP answers and of resets are those of gRPC's tables", () => {
  const http = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 };
  for (let status = 100; status < 600; status++)
    assert.equal(
      statusOfHttp(status),
      Object.entries(http).find(([known]) => Number(known) === status)?.[1] ?? 2,
      `${status}`,
    );
  const resets = new Map([
    [0x7, 14],
    [0x8, 1],
    [0xb, 8],
    [0xc, 7],
  ]);
  for (let code = 0; code <= 0xff; code++) assert.equal(statusOfReset(code), resets.get(code) ?? 13, `${code}`);
});

test("every status has an HTTP status that says as much", () => {
  assert.equal(httpOfStatus(Status.OK), 200);
  for (let status = 1; status <= 16; status++) assert.ok(httpOfStatus(status) >= 400, `${status}`);
  assert.deepEqual([3, 16, 7, 12, 8, 1, 4, 14, 13].map(httpOfStatus), [400, 401, 403, 404, 429, 499, 504, 503, 502]);
});
