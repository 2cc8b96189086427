import { type CaptureRules, isIpv6, type Step } from "./rules.ts";

const INBOUND = "OUTRIGGER_INBOUND";
const OUTBOUND = "OUTRIGGER_OUTBOUND";

/** The programs of the two address families. */
const families = [
  { program: "iptables", of: (cidr: string): boolean => !isIpv6(cidr) },
  { program: "ip6tables", of: isIpv6 },
] as const;

/** Where our chains are asked. */
const hooks = [
  ["PREROUTING", INBOUND],
  ["OUTPUT", OUTBOUND],
] as const;

/**
 * The steps that set the rules in the nat tables of both families. The chains are written anew in one transaction a family;
 * the jumps to them are added where they are missing, last, so that no half of the rules is ever in force.
 */
export function setIptables(rules: CaptureRules): Step[] {
  return families.flatMap(({ program, of }) => [
    {
      program: [`${program}-restore`, "--noflush", "--wait"],
      input: chains(rules, rules.excluded.cidrs.filter(of)),
    },
    ...hooks.map(([hook, chain]) => ({
      program: [program, "--wait", "-t", "nat", "-A", hook, "-p", "tcp", "-j", chain],
      unless: [program, "--wait", "-t", "nat", "-C", hook, "-p", "tcp", "-j", chain],
    })),
  ]);
}

/** The steps that take away what `iptables` has set; none of it fails where nothing is set. */
export function removeIptables(): Step[] {
  return families.flatMap(({ program }) => [
    ...hooks.map(
      ([hook, chain]): Step => ({
        program: [program, "--wait", "-t", "nat", "-D", hook, "-p", "tcp", "-j", chain],
        mayFail: true,
      }),
    ),
    ...[INBOUND, OUTBOUND].flatMap((chain): Step[] => [
      { program: [program, "--wait", "-t", "nat", "-F", chain], mayFail: true },
      { program: [program, "--wait", "-t", "nat", "-X", chain], mayFail: true },
    ]),
  ]);
}

function chains(rules: CaptureRules, cidrs: readonly string[]): string {
  const { inboundPort, outboundPort, ownPorts, users, excluded } = rules;
  const passes = (chain: string, matches: readonly string[]): string[] =>
    matches.map((match) => `-A ${chain} ${match} -j RETURN`);
  const ports = (values: readonly number[]): string[] => [...new Set(values)].map((port) => `-p tcp --dport ${port}`);
  return [
    "*nat",
    // Naming a chain of ours empties it, if it is there.
    `:${INBOUND} - [0:0]`,
    `:${OUTBOUND} - [0:0]`,
    ...passes(INBOUND, ports([...ownPorts, inboundPort, outboundPort, ...excluded.inboundPorts])),
    `-A ${INBOUND} -p tcp -j REDIRECT --to-ports ${inboundPort}`,
    ...passes(
      OUTBOUND,
      users.map((user) => `-m owner --uid-owner ${user}`),
    ),
    // What stays inside of the pod is nobody else's: also the application calling itself by the pod's address.
    ...passes(OUTBOUND, ["-o lo"]),
    ...passes(
      OUTBOUND,
      cidrs.map((cidr) => `-d ${cidr}`),
    ),
    ...passes(OUTBOUND, ports(excluded.outboundPorts)),
    `-A ${OUTBOUND} -p tcp -j REDIRECT --to-ports ${outboundPort}`,
    "COMMIT",
    "",
  ].join("\n");
}
