import assert from "node:assert/strict";
import { Client, credentials } from "@grpc/grpc-js";
import { startMesh } from "../../deploy/demo/mesh.ts";
import { UserService } from "../../services/user/api/gen/user_pb.ts";
import { clientOf } from "../../services/user/internal/grpc-client.ts";
import { runLong } from "../support/results.ts";

/**
 * An hour (two minutes with --short) of calls of every kind through two sidecars: answered, refused, cancelled and timed out,
 * on connections that come and go. Heap, resident memory, file descriptors and timers of both sidecars have to be flat: what
 * they are in the last quarter is compared with the second, when every cache has filled. Of the heap that is the least that was
 * seen: what is left after one of the full collections that `collector.ts` makes.
 */
const WORKERS = 4;
/** Growth that is none: the collector's mood, a connection that is just being made. */
const SLACK = { heap: 6 * 2 ** 20, rss: 24 * 2 ** 20, fds: 8, timers: 8 };
/** What V8 takes for its heap is settled after some minutes; in a short run resident memory is only held to this. */
const SHORT_RSS = 280 * 2 ** 20;
/** In a short run the program is still being compiled while it is measured. */
const SHORT_HEAP = 12 * 2 ** 20;
const COLLECTOR = new URL("../support/collector.ts", import.meta.url).href;
/** Of a call that is not about its deadline. */
const LIMIT = { timeout: 10_000 };

interface Sample {
  readonly heap: number;
  readonly rss: number;
  readonly fds: number;
  readonly timers: number;
}

await runLong("soak", async ({ short, seed, say }) => {
  const seconds = short ? 120 : 3600;
  process.env.NODE_OPTIONS = `--expose-gc --import=${COLLECTOR}`;
  const mesh = await startMesh({ replicas: 1, registry: { kind: "directory" } });
  const [replica] = mesh.replicas;
  assert.ok(replica);
  const sidecars = [
    { name: "caller", admin: mesh.caller.ready.get("admin"), samples: [] as Sample[] },
    { name: "replica", admin: replica.sidecar.ready.get("admin"), samples: [] as Sample[] },
  ];
  const counts = { calls: 0, unexpected: new Map<string, number>() };
  try {
    await mesh.complete();
    const end = performance.now() + seconds * 1000;
    const workers = Array.from({ length: WORKERS }, (_, at) => work(mesh.outbound, seed * 1000 + at, end, counts));
    for (let at = 1; performance.now() < end; at++) {
      await new Promise((resolve) => setTimeout(resolve, 1000));
      for (const { admin, samples } of sidecars) samples.push(await sample(`http://${admin}/metrics`));
      if (at % 30 === 0) say(`${counts.calls} calls; ${sidecars.map(describe).join("; ")}`);
    }
    await Promise.all(workers);
    assert.deepEqual(Object.fromEntries(counts.unexpected), {}, "calls that ended otherwise than they should");
    const figures = sidecars.map(({ name, samples }) => ({ name, growth: growth(samples), last: samples.at(-1) }));
    for (const { name, growth: more, last } of figures) {
      const slack = short ? { ...SLACK, heap: SHORT_HEAP, rss: Number.POSITIVE_INFINITY } : SLACK;
      for (const key of ["heap", "rss", "fds", "timers"] as const)
        assert.ok(more[key] <= slack[key], `${key} of the ${name}'s sidecar grew by ${more[key]}`);
      assert.ok(
        !short || (last?.rss ?? 0) <= SHORT_RSS,
        `the ${name}'s sidecar has ${last?.rss} octets of resident memory`,
      );
    }
    return { calls: counts.calls, sidecars: figures };
  } finally {
    await mesh.stop();
  }
});

/** Makes calls one after the other until `end`, each with the end that it must have. */
async function work(
  address: string,
  first: number,
  end: number,
  counts: { calls: number; unexpected: Map<string, number> },
): Promise<void> {
  for (let round = 0; performance.now() < end; round++) {
    // A connection of its own for each round: they come and go, too.
    const options = { "grpc.default_authority": "user", "grpc.use_local_subchannel_pool": 1 };
    const channel = new Client(address, credentials.createInsecure(), options);
    const users = clientOf(UserService, channel);
    const id = `soak-${first}-${round}`;
    const user = { id, email: `${id}@example.com`, displayName: "Soak", picture: new Uint8Array(20_000) };
    const calls: [name: string, status: number | undefined, make: () => Promise<unknown>][] = [
      ["create", undefined, () => users.createUser({ user }, LIMIT)],
      ["get", undefined, () => users.getUser({ id }, LIMIT)],
      ["get what is not there", 5, () => users.getUser({ id: `${id}-missing` }, LIMIT)],
      ["list", undefined, () => read(users.listUsers({ pageSize: 5 }, LIMIT), 1)],
      ["watch and give up", undefined, () => read(users.watchUsers({}, LIMIT), 1)],
      ["delete", undefined, () => users.deleteUser({ id }, LIMIT)],
      ["watch until the deadline", 4, () => read(users.watchUsers({}, { timeout: 40 }), Number.POSITIVE_INFINITY)],
    ];
    for (const [name, expected, make] of calls) {
      counts.calls++;
      const status = await make().then(() => undefined, statusOf);
      if (status === expected) continue;
      const what = `${name}: ${status}`;
      counts.unexpected.set(what, (counts.unexpected.get(what) ?? 0) + 1);
    }
    channel.close();
  }
}

function statusOf(error: unknown): number {
  return error instanceof Error && "code" in error ? Number(error.code) : -1;
}

/** Reads that many messages and gives the rest up, which cancels the call. */
async function read(messages: AsyncIterable<unknown>, count: number): Promise<void> {
  let seen = 0;
  for await (const _ of messages) if (++seen >= count) return;
}

async function sample(url: string): Promise<Sample> {
  const text = await (await fetch(url)).text();
  const value = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
  return {
    heap: value("nodejs_heap_size_used_bytes"),
    rss: value("process_resident_memory_bytes"),
    fds: value("process_open_fds"),
    timers: value("outrigger_timers"),
  };
}

/** How much more the median of the last quarter is than that of the second; of the heap, the least. */
function growth(samples: readonly Sample[]): Sample {
  const quarter = Math.floor(samples.length / 4);
  const early = samples.slice(quarter, 2 * quarter);
  const late = samples.slice(-quarter);
  const more = (key: keyof Sample, of: (values: readonly number[]) => number): number =>
    of(late.map((one) => one[key])) - of(early.map((one) => one[key]));
  const least = (values: readonly number[]): number => Math.min(...values);
  return {
    heap: more("heap", least),
    rss: more("rss", median),
    fds: more("fds", median),
    timers: more("timers", median),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function describe({ name, samples }: { readonly name: string; readonly samples: readonly Sample[] }): string {
  const last = samples.at(-1);
  return last === undefined
    ? name
    : `${name} ${Math.round(last.rss / 2 ** 20)} MiB, ${last.fds} fds, ${last.timers} timers`;
}
