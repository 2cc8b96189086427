import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAuthority } from "../../src/routing/authority.ts";
import { seededRandom } from "../support/random.ts";

test("names are lower-cased, and lose a trailing dot and their port", () => {
  const cases: [text: string, host: string, port: string][] = [
    ["user", "user", ""],
    ["USER", "user", ""],
    ["User.Service.Consul", "user.service.consul", ""],
    ["user.", "user", ""],
    ["user:50051", "user", "50051"],
    ["user.:50051", "user", "50051"],
    ["user:", "user", ""],
    ["user:0", "user", "0"],
    ["user:65535", "user", "65535"],
    ["a", "a", ""],
    ["9", "9", ""],
    ["my_service", "my_service", ""],
    ["my-service--x", "my-service--x", ""],
    ["1.2.3", "1.2.3", ""],
    ["1.2.3.4.5", "1.2.3.4.5", ""],
  ];
  for (const [text, host, port] of cases) assert.deepEqual(parseAuthority(text), { kind: "name", host, port }, text);
});

test("IP literals are told from names", () => {
  const cases: [text: string, host: string, port: string][] = [
    ["127.0.0.1", "127.0.0.1", ""],
    ["10.1.2.3:80", "10.1.2.3", "80"],
    ["[::1]", "[::1]", ""],
    ["[::1]:443", "[::1]", "443"],
    ["[FE80::A]", "[fe80::a]", ""],
    ["[::ffff:10.0.0.1]:1", "[::ffff:10.0.0.1]", "1"],
  ];
  for (const [text, host, port] of cases) assert.deepEqual(parseAuthority(text), { kind: "ip", host, port }, text);
});

test("what is no authority is told why", () => {
  const cases: [text: string | undefined, why: RegExp][] = [
    [undefined, /empty/],
    ["", /empty/],
    ["me@user", /userinfo/],
    ["me:secret@user:80", /userinfo/],
    ["@user", /userinfo/],
    ["user:http", /HOST:PORT/],
    ["user:80:80", /HOST:PORT/],
    ["user:-1", /HOST:PORT/],
    ["user:65536", /65535/],
    ["user:99999999999", /65535/],
    ["::1", /HOST:PORT/],
    ["[::1", /HOST:PORT/],
    ["::1]", /HOST:PORT/],
    ["[user]", /HOST:PORT/],
    ["[]", /HOST:PORT/],
    ["user/path", /not a name/],
    ["http://user", /HOST:PORT/],
    ["us er", /not a name/],
    [" user", /not a name/],
    ["user ", /not a name/],
    ["us\u0000er", /not a name/],
    ["us\ner", /not a name/],
    ["\u00fcser", /not a name/],
    ["-user", /not a name/],
    ["user-", /not a name/],
    [".user", /not a name/],
    ["user..", /not a name/],
    ["us..er", /not a name/],
    [".", /not a name/],
    [":80", /not a name/],
    ["*", /not a name/],
    ["%75ser", /not a name/],
    ["u".repeat(261), /too long/],
  ];
  for (const [text, why] of cases) {
    const read = parseAuthority(text);
    assert.ok(read.kind === "bad", `${JSON.stringify(text)} is ${JSON.stringify(read)}`);
    assert.match(read.why, why, JSON.stringify(text));
  }
});

test("whatever comes is read in no time and never throws", () => {
  const random = seededRandom(11);
  const alphabet = "ab.-_:@[]%/ \u00ff09";
  for (let at = 0; at < 20_000; at++) {
    const text = Array.from(
      { length: Math.floor(random() * 300) },
      () => alphabet[Math.floor(random() * alphabet.length)],
    ).join("");
    const read = parseAuthority(text);
    if (read.kind === "name") assert.match(read.host, /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?$/);
  }
  const began = performance.now();
  parseAuthority(`${"a.".repeat(130)}:`);
  parseAuthority("1".repeat(260));
  assert.ok(performance.now() - began < 50);
});
