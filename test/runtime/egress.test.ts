import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../src/config/load.ts";
import type { Config } from "../../src/config/types.ts";
import { parseAddress } from "../../src/core/address.ts";
import type { Direction } from "../../src/http/reason.ts";
import { onwardProblem } from "../../src/runtime/egress.ts";

function configured(text: string): Config {
  const loaded = loadConfig(text, { file: "test", env: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.config;
}

function problem(
  to: string,
  config: Config,
  own: readonly string[] = [],
  direction: Direction = "outbound",
): string | undefined {
  const address = (text: string) => {
    const parsed = parseAddress(text);
    assert.ok(typeof parsed !== "string", text);
    return parsed;
  };
  return onwardProblem(config, direction, address(to), own.map(address));
}

const usual = configured("capture: {}");

test("a captured connection goes on to where it was going, but for what only this pod should reach", () => {
  for (const to of ["192.0.2.7:80", "10.0.0.7:15006", "[2001:db8::7]:443"])
    assert.equal(problem(to, usual), undefined, to);
  for (const [to, why] of [
    ["127.0.0.1:9999", /is loopback/],
    ["127.8.8.8:9999", /is loopback/],
    ["[::1]:9999", /is loopback/],
    ["169.254.169.254:80", /169\.254\.169\.254:80 .*link-local/],
    ["[fe80::1]:80", /link-local/],
    ["[fd00:ec2::254]:80", /is a cloud's metadata service/],
    ["[fd20:ce::254]:80", /is a cloud's metadata service/],
    ["100.100.100.200:80", /is a cloud's metadata service/],
    ["0.0.0.0:80", /unspecified|every address/],
    ["224.0.0.1:80", /multicast/],
  ] as const)
    assert.match(problem(to, usual) ?? "nothing", why, to);
});

test("what is listed may be reached all the same, at that port and no other", () => {
  const listed = configured('capture: { allow: ["169.254.169.254:80", "127.0.0.1:9999"] }');
  assert.equal(problem("169.254.169.254:80", listed), undefined);
  assert.equal(problem("127.0.0.1:9999", listed), undefined);
  assert.match(problem("169.254.169.254:81", listed) ?? "", /link-local/);
  assert.match(problem("127.0.0.1:9998", listed) ?? "", /loopback/);
  assert.match(problem("127.0.0.1:9999", listed, [], "inbound") ?? "", /loopback/, "for the application only");
});

test("a listener of the sidecar is not called through itself, listed or not", () => {
  const own = [":15006", "127.0.0.1:15000"];
  const listed = configured('capture: { allow: ["127.0.0.1:15000"] }');
  assert.match(problem("127.0.0.1:15000", listed, own) ?? "", /is a listener of this sidecar: it would call itself/);
  assert.match(problem("127.0.0.1:15006", usual, own) ?? "", /is a listener of this sidecar/);
});
