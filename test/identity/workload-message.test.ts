import assert from "node:assert/strict";
import { test } from "node:test";
import { derToPem } from "../../src/identity/pem.ts";
import { materialOf } from "../../src/identity/sources/workload-api.ts";
import { consulPattern } from "../../src/identity/spiffe.ts";
import { readSvids } from "../../src/identity/workload-message.ts";

test("what is no answer of the Workload API is an error, never half of an identity", () => {
  assert.deepEqual(readSvids(new Uint8Array()), { svids: [], crl: [], federated: new Map() });
  // A length that goes beyond the end, a group that never ends, a field without a value.
  for (const octets of [[0x0a, 0x05, 0x01], [0x0b, 0x08], [0x0a]])
    assert.throws(() => readSvids(Uint8Array.from(octets)));
  // Fields that are not known are passed over.
  assert.deepEqual(readSvids(Uint8Array.from([0x20, 0x05, 0x2a, 0x01, 0x41])).svids, []);
});

test("an answer without an identity, or with broken certificates, says so", () => {
  const own = [consulPattern("web", {})];
  const empty = { svids: [], crl: [], federated: new Map() };
  assert.equal(materialOf(empty, own), "the Workload API has no identity for this process");
  const octets = Uint8Array.from([0x30, 0x03, 0x01]);
  const svid = { id: "spiffe://td/x", certificates: octets, key: octets, bundle: octets };
  assert.match(JSON.stringify(materialOf({ ...empty, svids: [svid] }, own)), /^"its certificate is broken: /);
});

test("certificates one after the other are taken apart by their lengths", () => {
  const one = [0x30, 0x02, 0x05, 0x00];
  const long = [0x30, 0x81, 0x80, ...Array.from({ length: 128 }, () => 0)];
  assert.equal(derToPem(Uint8Array.from([...one, ...long, ...one])).length, 3);
  for (const broken of [[0x30], [0x31, 0x00], [0x30, 0x84, 0xff, 0xff, 0xff, 0xff], [0x30, 0x80], [...one, 0x30, 0x05]])
    assert.equal(typeof derToPem(Uint8Array.from(broken)), "string");
});
