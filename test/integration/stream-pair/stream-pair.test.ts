import assert from "node:assert/strict";
import { test } from "node:test";
import { seededInteger } from "../../support/random-integer.ts";
import { RawServer } from "../../support/raw-peer.ts";
import { inScope, type Scope } from "../../support/with-proxy.ts";
import { OVER, type Row, readTable, START } from "./rows.ts";
import { Scene, type Stage } from "./scene.ts";

const table = readTable();

/** The events by which a state is reached, the fewest there are. */
function wayTo(state: string): Row[] {
  const ways = new Map<string, Row[]>([[START, []]]);
  for (const [reached, way] of ways) {
    if (reached === state) return way;
    for (const row of table.rows)
      if (row.state === reached && row.next !== OVER && !ways.has(row.next)) ways.set(row.next, [...way, row]);
  }
  return assert.fail(`nothing leads to "${state}"`);
}

/** A sidecar with an upstream for each call, so that none is judged by what became of another's. */
async function makeStages(scope: Scope, calls: number): Promise<Stage[]> {
  const servers = await Promise.all(Array.from({ length: calls }, () => RawServer.listen({ polite: false })));
  scope.onEnd(async () => void (await Promise.all(servers.map((server) => server.close()))));
  const upstreams = servers.map(({ address }, at) => [`up${at}`, { discovery: "static", endpoints: [address] }]);
  const sidecar = await scope.sidecar({
    identity: { name: "caller" },
    upstreams: Object.fromEntries(upstreams),
    log: { access: "none", level: "error" },
  });
  return servers.map((server, at) => ({ sidecar, server, name: `up${at}` }));
}

async function playAll(stage: Stage, rows: readonly Row[]): Promise<void> {
  const scene = await Scene.begin(stage);
  const played: string[] = [];
  try {
    for (const row of rows) {
      played.push(row.event);
      await scene.play(row);
    }
    // Nothing is left where it is over, though both connections stand.
    if (rows.at(-1)?.next === OVER) await stage.sidecar.rest();
  } catch (error) {
    throw new Error(`after ${played.join(", ")}`, { cause: error });
  } finally {
    scene.close();
  }
  await stage.sidecar.rest();
}

for (const state of table.states) {
  const rows = table.rows.filter((row) => row.state === state);

  test(`every event while a call is ${state}: both sides hear what the table says`, async (t) => {
    await inScope(async (scope) => {
      for (const [at, stage] of (await makeStages(scope, rows.length)).entries()) {
        const row = rows[at];
        if (row !== undefined) await t.test(`${row.event}: ${row.next}`, () => playAll(stage, [...wayTo(state), row]));
      }
    });
  });
}

for (let seed = 1; seed <= 4; seed++) {
  test(`a state is what the table says however it was reached: 40 ways by chance, seed ${seed}`, async () => {
    await inScope(async (scope) => {
      const random = seededInteger(seed);
      for (const stage of await makeStages(scope, 40)) {
        const way: Row[] = [];
        for (let state = START; state !== OVER && way.length < 12; ) {
          // A call is made again a few times only, and a connection ends once.
          const once = (row: Row): boolean => row.upstream.includes("asked") || row.caller.includes("closed");
          const rows = table.rows.filter((row) => row.state === state && !(way.includes(row) && once(row)));
          const going = rows.filter(({ next }) => next !== OVER);
          const from = going.length > 0 && random(8) > 0 ? going : rows;
          const row = from[random(from.length)];
          assert.ok(row !== undefined);
          way.push(row);
          state = row.next;
        }
        await playAll(stage, way);
      }
    });
  });
}
