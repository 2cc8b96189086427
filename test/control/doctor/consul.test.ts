import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { checkConsul } from "../../../src/control/doctor/consul.ts";
import { type Consul, startConsul } from "../../support/consul.ts";
import { freePort } from "../../support/ports.ts";
import { realPart, skipUnless } from "../../support/real-parts.ts";
import { clockOff, found, wrong } from "./surroundings.ts";

let consul: Consul;
before(async () => {
  if (realPart("consul") !== undefined) consul = await startConsul({ acl: true });
});
after(() => consul?.kill());

const config = (address: string, token?: string) => ({
  service: { name: "app", address: "127.0.0.1:1", advertise: "127.0.0.1:15006" },
  discovery: { consul: { address, ...(token === undefined ? {} : { token }) } },
});

/** A token with these rules. */
async function tokenWith(rules: string): Promise<string> {
  const name = `doctor-${Math.random().toString(36).slice(2)}`;
  await consul.request("PUT", "/v1/acl/policy", { Name: name, Rules: rules });
  const { body } = await consul.request("PUT", "/v1/acl/token", { Policies: [{ Name: name }] });
  return Object(body).SecretID;
}

test("a token that may do all that is needed is in order", skipUnless("consul"), async () => {
  const rules =
    'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" } service "app" { policy = "write" }';
  const findings = await found(checkConsul, config(consul.address, await tokenWith(rules)));
  assert.deepEqual(wrong(findings), []);
  assert.deepEqual(
    findings.map(({ check }) => check),
    ["consul", "clock", "consul", "consul", "consul"],
  );
});

test("a right that a token lacks is told with the rule to add", skipUnless("consul"), async () => {
  const findings = await found(
    checkConsul,
    config(consul.address, await tokenWith('service_prefix "" { policy = "read" }')),
  );
  assert.deepEqual(wrong(findings), [
    'error: the token does not allow node_prefix "" read: instances of services are not seen',
    'error: the token does not allow service "app" write: the service cannot be registered',
  ]);
  assert.ok(findings.some(({ remedy }) => remedy === 'Add to its policy: service "app" { policy = "write" }'));
});

test("a token that Consul does not know is not accepted", skipUnless("consul"), async () => {
  const token = "11111111-2222-3333-4444-555555555555";
  assert.match(
    wrong(await found(checkConsul, config(consul.address, token))).join(),
    /error: the token is not accepted: 40[13]/,
  );
});

test("clocks that differ are told with how much", skipUnless("consul"), async () => {
  const { token } = consul;
  const at = async (ms: number): Promise<string> =>
    wrong(await found(checkConsul, config(consul.address, token), { clock: clockOff(ms) })).join();
  assert.match(await at(-10_000), /^warning: this machine's clock and the agent's differ by (9|10)(\.\d+)?s$/);
  assert.match(await at(3_600_000), /^error: this machine's clock .* differ by 3(599|600)(\.\d+)?s$/);
});

test("an agent that is not there, and a token file that is not, are errors", async () => {
  const nobody = config(`http://127.0.0.1:${await freePort()}`);
  assert.match(wrong(await found(checkConsul, nobody)).join(), /^error: http:.* does not answer: .*ECONNREFUSED/);
  const discovery = { consul: { tokenFile: "/no/such/token" } };
  assert.match(
    wrong(await found(checkConsul, { discovery })).join(),
    /^error: a file of discovery\.consul cannot be read: ENOENT/,
  );
});
