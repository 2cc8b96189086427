import assert from "node:assert/strict";
import { test } from "node:test";
import { setIptables } from "../../src/capture/iptables.ts";
import { setNftables } from "../../src/capture/nftables.ts";
import type { CaptureRules } from "../../src/capture/rules.ts";
import { formatSteps, runSteps } from "../../src/capture/run-steps.ts";
import { cli } from "../../src/cli.ts";

const rules: CaptureRules = {
  inboundPort: 15016,
  outboundPort: 15011,
  ownPorts: [15021, 15006],
  users: [15001, 7],
  excluded: { inboundPorts: [9090], outboundPorts: [5432], cidrs: ["10.9.0.0/16", "fd00::/8"] },
};

test("nftables gets one transaction that takes the place of what was there", () => {
  const [step, ...more] = setNftables(rules);
  assert.deepEqual(more, []);
  assert.equal(
    step?.input,
    `add table inet outrigger
delete table inet outrigger
table inet outrigger {
  chain inbound {
    type nat hook prerouting priority dstnat; policy accept;
    meta l4proto != tcp return
    tcp dport { 15021, 15006, 15016, 15011, 9090 } return
    meta l4proto tcp redirect to :15016
  }
  chain outbound {
    type nat hook output priority -100; policy accept;
    meta l4proto != tcp return
    meta skuid { 15001, 7 } return
    oifname "lo" return
    ip daddr { 10.9.0.0/16 } return
    ip6 daddr { fd00::/8 } return
    tcp dport { 5432 } return
    meta l4proto tcp redirect to :15011
  }
}
`,
  );
});

test("iptables gets each network in the program of its family, and the jumps to our chains last", () => {
  const text = formatSteps(setIptables(rules));
  const [v4 = "", v6 = ""] = text.split("ip6tables-restore");
  assert.match(v4, /-A OUTRIGGER_OUTBOUND -d 10\.9\.0\.0\/16 -j RETURN/);
  assert.doesNotMatch(v4, /fd00/);
  assert.match(v6, /-A OUTRIGGER_OUTBOUND -d fd00::\/8 -j RETURN/);
  assert.doesNotMatch(v6, /10\.9/);
  for (const part of [v4, v6]) assert.match(part, /COMMIT\nEND\n[\s\S]*-C PREROUTING[\s\S]*-A PREROUTING/);
  assert.match(v4, /--uid-owner 15001 -j RETURN\n-A OUTRIGGER_OUTBOUND -m owner --uid-owner 7 -j RETURN/);
});

test("steps stop at the first that fails, and say what it said; what may fail, and what is needless, does not", () => {
  const failing = { program: ["sh", "-c", "echo broken >&2; exit 3"] };
  const never = { program: ["sh", "-c", "exit 9"] };
  assert.equal(runSteps([{ ...failing, mayFail: true }]), undefined);
  assert.equal(runSteps([{ ...failing, unless: ["true"] }]), undefined);
  assert.equal(runSteps([failing, never]), "sh ended with 3: broken");
  assert.match(runSteps([{ program: ["no-such-program"] }]) ?? "", /cannot run no-such-program/);
  assert.equal(formatSteps([{ program: ["a", "it's"], mayFail: true }]), "a 'it'\\''s' 2>/dev/null || true\n");
});

test("without a section capture, or with a user that is no number, there is nothing to be set", async () => {
  const written: string[] = [];
  const write = process.stderr.write.bind(process.stderr);
  process.stderr.write = (text) => {
    written.push(String(text));
    return true;
  };
  try {
    assert.equal(await cli(["capture", "-c", "config/minimal.yaml", "--dry-run"], {}), 2);
    assert.equal(await cli(["capture", "-c", "config/capture.yaml", "--user", "root", "--dry-run"], {}), 2);
  } finally {
    process.stderr.write = write;
  }
  assert.match(written[0] ?? "", /config\/minimal\.yaml has no section capture/);
  assert.match(written[1] ?? "", /--user is "root", expected the number of a user/);
});
