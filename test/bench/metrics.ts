/** What counting a call costs, and a scrape at its bound: `node test/bench/metrics.ts`. */
import { systemClock } from "../../src/core/clock.ts";
import { Metrics } from "../../src/observability/metrics.ts";
import type { UpstreamSeries } from "../../src/observability/upstream-series.ts";

const CALLS = 4_000_000;
const ROUNDS = 5;

const paths = (count: number): string[] => Array.from({ length: count }, (_, at) => `/user.v1.UserService/Method${at}`);

interface Case {
  readonly name: string;
  readonly methods: readonly string[];
  readonly end: (series: UpstreamSeries, path: string, ms: number) => void;
}

const ok: Case["end"] = (series, path, ms) => series.finished(path, 0, undefined, "app", ms);
const cases: readonly Case[] = [
  { name: "one method, OK", methods: paths(1), end: ok },
  { name: "20 methods in turn, OK", methods: paths(20), end: ok },
  { name: "400 methods in turn, OK", methods: paths(400), end: ok },
  {
    name: "20 methods, refused by the proxy",
    methods: paths(20),
    end: (series, path, ms) => series.finished(path, 14, "CONNECT_REFUSED", "proxy", ms),
  },
  {
    name: "methods that the application does not know",
    methods: Array.from({ length: 4096 }, (_, at) => `/evil.Service/M${at}`),
    end: (series, path, ms) => series.finished(path, 12, undefined, "app", ms),
  },
];

/** Nanoseconds a call: begun, octets counted both ways, finished. */
function measure({ methods, end }: Case): number {
  const series = new Metrics("bench", systemClock).calls.upstream("outbound", "user");
  const begin = process.hrtime.bigint();
  for (let call = 0; call < CALLS; call++) {
    series.started();
    series.received(120);
    series.sent(90);
    end(series, methods[call % methods.length] ?? "", (call & 31) / 4);
  }
  return Number(process.hrtime.bigint() - begin) / CALLS;
}

async function scrape(methods: number): Promise<{ ms: number; kib: number }> {
  const metrics = new Metrics("bench", systemClock);
  const upstreams = Array.from({ length: 20 }, (_, at) => metrics.calls.upstream("outbound", `service-${at}`));
  for (const [at, path] of paths(methods).entries()) {
    for (let call = 0; call < 50; call++)
      upstreams[at % 20]?.finished(path, call % 7 === 0 ? 5 : 0, undefined, "app", call);
  }
  const times: number[] = [];
  let kib = 0;
  for (let round = 0; round < 60; round++) {
    const begin = process.hrtime.bigint();
    kib = (await metrics.scrape()).text.length / 1024;
    times.push(Number(process.hrtime.bigint() - begin) / 1e6);
  }
  return { ms: median(times.slice(20)), kib };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[values.length >> 1] ?? Number.NaN;
}

for (const each of cases) {
  const rounds = Array.from({ length: ROUNDS }, () => measure(each));
  console.log(`${each.name.padEnd(44)} ${median(rounds).toFixed(1).padStart(6)} ns a call`);
}
for (const methods of [20, 500]) {
  const { ms, kib } = await scrape(methods);
  console.log(`${`scrape with ${methods} methods`.padEnd(44)} ${ms.toFixed(2).padStart(6)} ms, ${kib.toFixed(0)} KiB`);
}
