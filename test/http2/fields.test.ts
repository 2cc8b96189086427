import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultHeaderTableLimits, type Head, HeaderTable } from "../../src/http/headers.ts";
import { contentLength, fieldsFault, isInformational, type SectionKind } from "../../src/http2/fields.ts";

type Fields = readonly (readonly [name: string, value: string])[];

/** A table that keeps nothing, so that every value that may be one is a slot, and an ordinary one. */
const tables = [
  ["interned", () => new HeaderTable()],
  [
    "in slots",
    () => new HeaderTable({ ...defaultHeaderTableLimits, names: 0, valuesPerName: 0, valuesPerTarget: 0, lists: 0 }),
  ],
] as const;

const request: Fields = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a.B/C"],
  [":authority", "a:1"],
];
const connect: Fields = [[":method", "CONNECT"], ...request.slice(1)];
const response: Fields = [[":status", "200"]];

const good: readonly (readonly [SectionKind, string, Fields])[] = [
  ["request", "a request", request],
  ["request", "pseudo-headers in another order", request.toReversed()],
  ["request", "a request without :authority", request.slice(0, 3)],
  ["request", "host beside :authority", [...request, ["host", "[::1]:80"]]],
  ["request", "te: trailers", [...request, ["te", "trailers"]]],
  ["request", "a field twice", [...request, ["x-a", "1"], ["x-a", "2"]]],
  ["request", "an empty value", [...request, ["x-a", ""]]],
  ["request", "white space within a value", [...request, ["x-a", "a \t b"]]],
  ["request", "octets above ASCII in a value", [...request, ["x-a", "\x80\xff"]]],
  ["request", "octets above ASCII in a path", [...request.slice(0, 2), [":path", "/\xe4?\xff"], [":authority", ""]]],
  ["request", "every sign of a token in a name", [...request, ["!#$%&'*+-.^_`|~09az", "1"]]],
  ["request", "a method of its own", [[":method", "x-Query!"], ...request.slice(1)]],
  ["request", "an address of IPv6", [...request.slice(0, 3), [":authority", "[::1%25eth0]:80"]]],
  [
    "request",
    "OPTIONS of everything",
    [
      [":method", "OPTIONS"],
      [":scheme", "https"],
      [":path", "*"],
    ],
  ],
  [
    "request",
    "CONNECT",
    [
      [":method", "CONNECT"],
      [":authority", "a:1"],
    ],
  ],
  ["request", "extended CONNECT", [...connect, [":protocol", "websocket"]]],
  ["response", "a response", response],
  [
    "response",
    "an interim response",
    [
      [":status", "103"],
      ["link", "</a>"],
    ],
  ],
  ["trailers", "trailers", [["grpc-status", "0"]]],
  ["trailers", "trailers without a field", []],
];

const without = (name: string): Fields => request.filter((field) => field[0] !== name);

const bad: readonly (readonly [SectionKind, string, Fields, RegExp])[] = [
  ["request", "no :method", without(":method"), /without :method/],
  ["request", "no :scheme", without(":scheme"), /without :scheme/],
  ["request", "no :path", without(":path"), /without :path/],
  ["request", "an empty :path", [...without(":path"), [":path", ""]], /:path/],
  ["request", ":status", [...request, [":status", "200"]], /:status in a request/],
  ["request", "a pseudo-header that is not known", [...request, [":status-text", "OK"]], /:status-text in a request/],
  // RFC 8441 §4.
  ["request", ":protocol without CONNECT", [...request, [":protocol", "websocket"]], /:protocol in a request other/],
  ["request", "an empty :protocol", [...connect, [":protocol", ""]], /malformed :protocol/],
  ["request", "a space in :protocol", [...connect, [":protocol", "web socket"]], /malformed :protocol/],
  ["request", ":protocol twice", [...connect, [":protocol", "a"], [":protocol", "a"]], /:protocol twice/],
  ["response", ":protocol", [...response, [":protocol", "websocket"]], /:protocol in a response/],
  ...([0, 1, 2] as const).map((at): (typeof bad)[number] => {
    const fields = request.slice(1).toSpliced(at, 1);
    const missing = [/without :scheme/, /without :path/, /without :authority/][at] ?? /never/;
    return [
      "request",
      `extended CONNECT, ${missing.source}`,
      [[":method", "CONNECT"], [":protocol", "websocket"], ...fields],
      missing,
    ];
  }),
  ["request", ":", [...request, [":", ""]], /: in a request/],
  ["request", "a pseudo-header twice", [...request, [":path", "/"]], /:path twice/],
  ["request", "a pseudo-header after a field", [...without(":path"), ["x-a", "1"], [":path", "/"]], /after a regular/],
  [
    "request",
    "CONNECT with :path",
    [
      [":method", "CONNECT"],
      [":authority", "a"],
      [":path", "/"],
    ],
    /CONNECT with/,
  ],
  ["request", "CONNECT without :authority", [[":method", "CONNECT"]], /CONNECT without/],
  ["request", "capitals in a name", [...request, ["X-A", "1"]], /lower-case token/],
  ["request", "an empty name", [...request, ["", "1"]], /lower-case token/],
  ["request", "white space in a name", [...request, ["x a", "1"]], /lower-case token/],
  ["request", "a colon in a name", [...request, ["x:a", "1"]], /lower-case token/],
  ["request", "octets above ASCII in a name", [...request, ["x\xe4", "1"]], /lower-case token/],
  ["request", "te: gzip", [...request, ["te", "gzip"]], /te other/],
  ["request", "content-length twice", [...request, ["content-length", "1"], ["content-length", "1"]], /twice/],
  ["response", "no :status", [["x-a", "1"]], /without :status/],
  ["response", ":status twice", [...response, ...response], /:status twice/],
  ["response", "status 101", [[":status", "101"]], /which HTTP\/2 does not have/],
  ["response", ":path", [...response, [":path", "/"]], /:path in a response/],
  ["trailers", ":status", response, /:status in trailers/],
  ["trailers", ":path", [[":path", "/"]], /:path in trailers/],
  ...["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"].flatMap(
    (name) =>
      [
        ["request", name, [...request, [name, "x"]], /connection-specific/],
        ["response", name, [...response, [name, "x"]], /connection-specific/],
        ["trailers", name, [[name, "x"]], /connection-specific/],
      ] as const,
  ),
  ...["", "20", "2000", "099", "abc", "20x"].map(
    (status) => ["response", `:status ${JSON.stringify(status)}`, [[":status", status]], /three-digit/] as const,
  ),
  ...["\0", "\r", "\n", "\x01", "\x08", "\x0b", "\x1f", "\x7f"].map(
    (octet) =>
      ["request", `${JSON.stringify(octet)} in a value`, [...request, ["x-a", `a${octet}b`]], /forbidden/] as const,
  ),
  ...[" a", "a ", "\ta", "a\t", " "].map(
    (value) =>
      ["response", `${JSON.stringify(value)} as a value`, [...response, ["x-a", value]], /white space around/] as const,
  ),
  ["trailers", "a control character in a value", [["grpc-message", "a\x02"]], /forbidden/],
  ["request", "a space in :path", [...without(":path"), [":path", "/a b"]], /malformed :path|forbidden/],
  ["request", "a control character in :path", [...without(":path"), [":path", "/\x01"]], /malformed|forbidden/],
  ["request", "a space in :authority", [...request.slice(0, 3), [":authority", "a b"]], /malformed :authority/],
  ["request", "a slash in :authority", [...request.slice(0, 3), [":authority", "a/b"]], /malformed :authority/],
  ["request", "a space in :method", [[":method", "PO ST"], ...request.slice(1)], /malformed :method/],
  ["request", "an empty :method", [[":method", ""], ...request.slice(1)], /malformed :method/],
  ["request", "a space in :scheme", [...without(":scheme"), [":scheme", "h ttp"]], /malformed :scheme/],
  ["request", "an empty :scheme", [...without(":scheme"), [":scheme", ""]], /malformed :scheme/],
  ["request", "a :path that does not begin with a slash", [...without(":path"), [":path", "a.B/C"]], /malformed :path/],
  ["request", "the :path * of a POST", [...without(":path"), [":path", "*"]], /:path \* of another/],
  ["request", "a slash in host", [...request, ["host", "a/b"]], /malformed host/],
  ["request", "octets above ASCII in host", [...request, ["host", "\xe4"]], /malformed host/],
  ["request", "user information in host", [...request, ["host", "me@a"]], /malformed host/],
  ["request", "host twice", [...request, ["host", "a"], ["host", "a"]], /host twice/],
];

function makeHead(table: HeaderTable, fields: Fields): Head {
  return table.head(fields);
}

for (const [how, makeTable] of tables) {
  for (const [kind, name, fields] of good) {
    test(`${name} is right in ${kind}, ${how}`, () => {
      assert.equal(fieldsFault(makeHead(makeTable(), fields), kind), undefined);
    });
  }

  for (const [kind, name, fields, fault] of bad) {
    test(`${name} is wrong in ${kind}, ${how}`, () => {
      const table = makeTable();
      assert.match(fieldsFault(makeHead(table, fields), kind) ?? "none", fault);
      assert.match(fieldsFault(makeHead(table, fields), kind) ?? "none", fault, "and the second time");
    });
  }
}

test("a value in a slot is judged for itself, call by call", () => {
  const table = new HeaderTable();
  const head = (id: string): Head => table.head([...request, ["x-request-id", id]]);
  assert.equal(head("a").list, head("b").list);
  assert.equal(fieldsFault(head("a"), "request"), undefined);
  assert.match(fieldsFault(head("a\n"), "request") ?? "", /forbidden/);
  assert.equal(fieldsFault(head("b"), "request"), undefined);
});

test("the verdict for one kind of section says nothing of another", () => {
  const table = new HeaderTable();
  assert.equal(fieldsFault(table.head(response), "response"), undefined);
  assert.match(fieldsFault(table.head(response), "request") ?? "", /:status/);
  assert.match(fieldsFault(table.head(response), "trailers") ?? "", /:status/);
});

test("content-length is digits or nothing that is believed", () => {
  const table = new HeaderTable();
  const length = (value: string): number | undefined => contentLength(table.head([["content-length", value]]));
  assert.equal(contentLength(table.head([])), undefined);
  assert.equal(length("0"), 0);
  assert.equal(length("007"), 7);
  assert.equal(length("999999999999999"), 999_999_999_999_999);
  for (const value of ["", "-1", "+1", "1.0", "0x1", "1 ", "1,1", "1000000000000000"]) assert.equal(length(value), -1);
});

test("only a status of 1xx is informational", () => {
  const table = new HeaderTable();
  const of = (status: string): boolean => isInformational(table.head([[":status", status]]));
  assert.deepEqual([of("100"), of("103"), of("199"), of("200"), of("204")], [true, true, true, false, false]);
  assert.equal(isInformational(table.head([])), false);
});
