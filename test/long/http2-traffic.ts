import { runLong } from "../support/results.ts";
import { Traffic, type TrafficCounts } from "../support/traffic.ts";

/**
 * Two engines in random legal traffic, seed after seed; see `Traffic`. A seed that fails is printed with its number of steps, and
 * belongs into test/http2/traffic.test.ts.
 */
await runLong("http2-traffic", async ({ short, seed, say }) => {
  const time = short ? 20_000 : 900_000;
  const end = performance.now() + time;
  const total: TrafficCounts = { streams: 0, octets: 0, resets: 0, injected: 0, goaways: 0, ends: 0 };
  const names = Object.keys(total) as (keyof TrafficCounts)[];
  let runs = 0;
  for (; performance.now() < end; runs++) {
    const one = seed * 10_000_000 + runs;
    // Long runs meet states that short ones do not, and short ones more beginnings and ends.
    const steps = 200 + (runs % 10) ** 3 * 4;
    const traffic = new Traffic(one);
    await traffic.run(steps).catch((error: unknown) => {
      throw new Error(`seed ${one}, ${steps} steps`, { cause: error });
    });
    for (const name of names) total[name] += traffic.counts[name];
    if (runs % 1000 === 999) say(`${runs + 1} runs, ${total.streams} streams`);
  }
  if (total.streams < runs * 10) throw new Error("the traffic was hardly any");
  return { runs, ...total };
});
