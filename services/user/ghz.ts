// Measures a user service with ghz, which knows it by reflection:
//
//   node ghz.ts [--calls=N] [--rounds=N] NAME=HOST:PORT...
//
// Several names are ways to the same service: they take turns, and the table has the median of the rounds of each.
// ghz is the program in the variable GHZ, or the one in PATH.
import { execFile } from "node:child_process";
import { parseArgs, promisify } from "node:util";

/** A kind of call, as ghz is told. */
interface Load {
  readonly name: string;
  readonly method: string;
  readonly data: string;
  readonly concurrency: number;
  /** Its part of the calls that were asked for. */
  readonly share: number;
}

interface Measured {
  readonly callsPerSecond: number;
  /** In ms. */
  readonly p50: number;
  readonly p99: number;
  /** Answers by their status, beside OK. */
  readonly failures: Readonly<Record<string, number>>;
}

/** Users that are there before, which each list tells. */
const USERS = 100;
const CONNECTIONS = 5;

const LOADS: readonly Load[] = [
  { name: "GetUser, one at a time", method: "GetUser", data: '{"id":"user-1"}', concurrency: 1, share: 0.1 },
  { name: "GetUser, 50 at once", method: "GetUser", data: '{"id":"user-1"}', concurrency: 50, share: 1 },
  { name: `ListUsers of ${USERS}, 10 at once`, method: "ListUsers", data: "{}", concurrency: 10, share: 0.05 },
  {
    name: "CreateUser, 50 at once",
    method: "CreateUser",
    data: '{"user":{"email":"{{newUUID}}@x.org","displayName":"Somebody"}}',
    concurrency: 50,
    share: 0.5,
  },
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { calls: { type: "string", default: "20000" }, rounds: { type: "string", default: "3" } },
});
const ways = positionals.map((text): readonly [string, string] => {
  const [, name, address] = /^([^=]+)=(\S+)$/.exec(text) ?? [];
  if (name === undefined || address === undefined) throw new Error(`"${text}" is not NAME=HOST:PORT`);
  return [name, address];
});
const [first] = ways;
if (first === undefined) throw new Error("usage: node ghz.ts [--calls=N] [--rounds=N] NAME=HOST:PORT...");

await seed(first[1]);
const names = ["call", ...ways.map(([name]) => name)];
print(`| ${names.join(" | ")} |\n|${names.map(() => " --- |").join("")}`);
for (const load of LOADS) {
  const rounds = ways.map((): Measured[] => []);
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [at, [, address]] of ways.entries()) {
      const calls = Math.max(load.concurrency, Math.round(Number(values.calls) * load.share));
      rounds[at]?.push(await ghz(address, load, calls));
    }
  }
  print(`| ${[load.name, ...rounds.map(cell)].join(" | ")} |`);
}

/** Users for the reads; those that are there already from another run will do. */
async function seed(address: string): Promise<void> {
  const data =
    '{"user":{"id":"user-{{.RequestNumber}}","email":"user-{{.RequestNumber}}@x.org","displayName":"Somebody"}}';
  await ghz(address, { name: "seed", method: "CreateUser", data, concurrency: 1, share: 1 }, USERS + 1);
}

async function ghz(address: string, { method, data, concurrency }: Load, calls: number): Promise<Measured> {
  const connections = Math.min(CONNECTIONS, concurrency);
  const { stdout } = await promisify(execFile)(
    process.env.GHZ || "ghz",
    [
      ...["--insecure", "--call", `user.v1.UserService.${method}`, "--data", data, "--format", "json"],
      ...["--total", `${calls}`, "--concurrency", `${concurrency}`, "--connections", `${connections}`, address],
    ],
    { maxBuffer: 1024 * 1024 * 1024 },
  );
  const report: {
    readonly rps: number;
    readonly statusCodeDistribution: Readonly<Record<string, number>>;
    readonly latencyDistribution: readonly { readonly percentage: number; readonly latency: number }[];
  } = JSON.parse(stdout);
  const { OK: _ok, ...failures } = report.statusCodeDistribution;
  const at = (percentage: number): number =>
    (report.latencyDistribution.find((each) => each.percentage === percentage)?.latency ?? Number.NaN) / 1e6;
  return { callsPerSecond: report.rps, p50: at(50), p99: at(99), failures };
}

function cell(rounds: readonly Measured[]): string {
  const figure = (of: (each: Measured) => number): number => {
    const sorted = rounds.map(of).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  };
  const failed = rounds.flatMap(({ failures }) => Object.entries(failures).map(([code, count]) => `${count} ${code}`));
  const figures = `${Math.round(figure((each) => each.callsPerSecond))}/s, ${ms(figure((each) => each.p50))} / ${ms(figure((each) => each.p99))} ms`;
  return failed.length === 0 ? figures : `${figures}, FAILED: ${failed.join(", ")}`;
}

function ms(value: number): string {
  return value < 10 ? value.toFixed(2) : value.toFixed(1);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
