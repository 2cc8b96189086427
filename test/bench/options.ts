import { parseArgs } from "node:util";

/** What the command line asks for. */
export interface BenchOptions {
  /** Names of peers; all where undefined. */
  readonly peers: readonly string[] | undefined;
  /** Parts of case ids, any of which selects; all where undefined. */
  readonly cases: readonly string[] | undefined;
  readonly rounds: number;
  /** Of each case's measured window. */
  readonly seconds: number;
  /** Bytes of the one large answer. */
  readonly downloadSize: number;
  /** Further Nodes to run Outrigger on, each a peer of its own. */
  readonly nodes: readonly string[];
  /** Whether a missed bar is profiled. */
  readonly profile: boolean;
  /** The folder for bench.md and bench.json; undefined: only print. */
  readonly out: string | undefined;
}

export const USAGE = `npm run bench -- [options]

Compares Outrigger with sidecar-like Envoy, HAProxy, nghttpx and no proxy.

  --peers a,b      of direct, envoy, haproxy, nghttpx, outrigger (default: all that are installed)
  --cases a,b      only cases whose name contains one of these, as in 100B-10x10, h2load, rate, download
  --rounds N       default 3
  --seconds N      measured time of each case, default 3
  --quick          one round, one second, a few cases
  --node PATH,...  measure Outrigger on these Nodes too, each as a peer beside the one on the pinned Node
  --profile        profile Outrigger in the cases whose bar was missed
  --out FOLDER     for bench.md and bench.json (default: test/results; with --quick, --peers, --cases or --node: nowhere)
  --help
`;

const QUICK_CASES = ["100B-10x10", "rate-2000", "download"];
const GIB = 1024 ** 3;

/** Reads the arguments; "help" where that is what is asked for; throws an Error that says what is wrong with them. */
export function parseOptions(args: readonly string[], results: string): BenchOptions | "help" {
  const { values } = parseArgs({
    args: [...args],
    options: {
      peers: { type: "string" },
      cases: { type: "string" },
      rounds: { type: "string" },
      seconds: { type: "string" },
      quick: { type: "boolean", default: false },
      node: { type: "string" },
      profile: { type: "boolean", default: false },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  // What is committed is a whole run: a part of one does not overwrite it unless told to.
  const partial = values.quick || [values.peers, values.cases, values.node].some((value) => value !== undefined);
  return {
    peers: words(values.peers),
    cases: words(values.cases) ?? (values.quick ? QUICK_CASES : undefined),
    rounds: number("--rounds", values.rounds, values.quick ? 1 : 3, 1, 20),
    seconds: number("--seconds", values.seconds, values.quick ? 1 : 3, 0.2, 60),
    downloadSize: values.quick ? GIB / 4 : GIB,
    nodes: words(values.node) ?? [],
    profile: values.profile,
    out: values.out ?? (partial ? undefined : results),
  };
}

function words(list: string | undefined): string[] | undefined {
  return list?.split(",").filter((word) => word !== "");
}

function number(name: string, text: string | undefined, otherwise: number, least: number, most: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!(value >= least && value <= most))
    throw new Error(`${name} must be a number from ${least} to ${most}, not "${text}"`);
  return value;
}
