import { type CaptureRules, isIpv6, type Step } from "./rules.ts";

const TABLE = "inet outrigger";

/** The steps that set the rules, one transaction of nftables: they take the place of those that are there. */
export function setNftables(rules: CaptureRules): Step[] {
  // "add" before "delete": deleting a table that is not there is an error, and adding one that is there is none.
  return [{ program: ["nft", "-f", "-"], input: `add table ${TABLE}\ndelete table ${TABLE}\n${ruleset(rules)}` }];
}

/** The step that takes the table away, whether it is there or not. */
export function removeNftables(): Step[] {
  return [{ program: ["nft", "-f", "-"], input: `add table ${TABLE}\ndelete table ${TABLE}\n` }];
}

function ruleset(rules: CaptureRules): string {
  const { inboundPort, outboundPort, ownPorts, users, excluded } = rules;
  const v4 = excluded.cidrs.filter((cidr) => !isIpv6(cidr));
  const v6 = excluded.cidrs.filter(isIpv6);
  const inbound = [
    "meta l4proto != tcp return",
    ...unless("tcp dport", [...ownPorts, inboundPort, outboundPort, ...excluded.inboundPorts]),
    `meta l4proto tcp redirect to :${inboundPort}`,
  ];
  const outbound = [
    "meta l4proto != tcp return",
    ...unless("meta skuid", users),
    // What stays inside of the pod is nobody else's: also the application calling itself by the pod's address.
    'oifname "lo" return',
    ...unless("ip daddr", v4),
    ...unless("ip6 daddr", v6),
    ...unless("tcp dport", excluded.outboundPorts),
    `meta l4proto tcp redirect to :${outboundPort}`,
  ];
  return `table ${TABLE} {
  chain inbound {
    type nat hook prerouting priority dstnat; policy accept;
${lines(inbound)}
  }
  chain outbound {
    type nat hook output priority -100; policy accept;
${lines(outbound)}
  }
}
`;
}

function unless(what: string, values: readonly (string | number)[]): string[] {
  const all = [...new Set(values)];
  return all.length === 0 ? [] : [`${what} { ${all.join(", ")} } return`];
}

function lines(rules: readonly string[]): string {
  return rules.map((rule) => `    ${rule}`).join("\n");
}
