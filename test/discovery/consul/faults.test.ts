import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { hosts, until, untilFresh, untilHosts, untilStale } from "../services.ts";
import { entryOf, type FakeConsul, refuse, type Script } from "./fake-consul.ts";
import { TWO, TWO_HOSTS, withFake } from "./support.ts";

const good = { "content-type": "application/json", "x-consul-index": "200", "x-consul-knownleader": "true" };
const answer =
  (body: string, headers: Record<string, string> = good): Script =>
  (_request, response) => {
    response.writeHead(200, headers).end(body);
    return true;
  };
const status =
  (code: number, text: string): Script =>
  (_request, response) => {
    refuse(response, code, text);
    return true;
  };
const entry = (change: (service: Record<string, unknown>) => void): Script => {
  const whole: object = entryOf({ host: "127.0.0.1", port: 7009 });
  change(Reflect.get(whole, "Service"));
  return answer(JSON.stringify([whole]));
};

const faults: readonly [name: string, script: Script, error: RegExp][] = [
  ["no cluster leader", status(500, "No cluster leader"), /has no cluster leader \(500: No cluster leader\)$/],
  ["an error of its own", status(503, "try later"), /answers 503: try later$/],
  ["an error without a text", status(502, ""), /answers 502$/],
  ["a token that it does not know", status(403, "ACL not found"), /refuses the token .* \(403: ACL not found\)$/],
  ["too many connections", status(429, "Your IP is busy"), /too many connections .* \(429: Your IP is busy\)$/],
  ["a service that it may not know", status(404, "what?"), /answers 404: what\?$/],
  ["no JSON", answer("<html>"), /no list of instances: it is no JSON$/],
  ["an empty body", answer(""), /it is no JSON$/],
  ["JSON of another shape", answer('{"error":1}'), /it is no list$/],
  ["entries of another shape", answer("[1]"), /\[0\]\.Node\.Node is no name$/],
  ["an entry without an id", entry((service) => delete service.ID), /\[0\]\.Service\.ID is no name$/],
  [
    "a port that is none",
    entry((service) => Object.assign(service, { Port: 70000 })),
    /\[0\]\.Service\.Port is no port$/,
  ],
  ["meta that is no map of strings", entry((service) => Object.assign(service, { Meta: { a: 1 } })), /Meta is no map/],
  ["no index", answer("[]", { "x-consul-knownleader": "true" }), /no X-Consul-Index$/],
  ["an index that is no number", answer("[]", { ...good, "x-consul-index": "soon" }), /no X-Consul-Index$/],
  [
    "a body that is cut",
    (_request, response) => {
      response.writeHead(200, { ...good, "content-length": "1000" });
      response.write("[");
      setTimeout(() => response.destroy(), 5);
      return true;
    },
    /cut its answer short$/,
  ],
  [
    "a body that stops",
    (_request, response) => {
      response.writeHead(200, good);
      response.write("[");
      return true;
    },
    /does not answer within \d+ ms$/,
  ],
  ["silence", () => true, /does not answer within \d+ ms$/],
  [
    "a closed connection",
    (_request, response) => {
      response.socket?.destroy();
      return true;
    },
    /closed the connection$/,
  ],
  ["a server without a leader", answer("[]", { ...good, "x-consul-knownleader": "false" }), /knows no cluster leader$/],
  [
    "a list that the token may not see",
    answer("[]", { ...good, "x-consul-results-filtered-by-acls": "true" }),
    /empty to this token/,
  ],
  ["an empty list from a server that names no leader", answer("[]", { "x-consul-index": "200" }), /names no leader$/],
];

for (const [name, script, error] of faults) {
  test(`the last good list stays when the agent answers with ${name}`, async () => {
    await withFake(async ({ fake, orders, lines }) => {
      const before = await untilHosts(orders.state, TWO_HOSTS);
      fake.script = script;
      // Wakes the query that is open.
      fake.set("orders", TWO);
      assert.match(await untilStale(orders.state), error);
      await sleep(50);
      const stale = orders.state.current;
      assert.ok(stale.kind === "known" && before.kind === "known");
      assert.equal(stale.endpoints, before.endpoints);
      fake.script = () => false;
      fake.set("orders", [{ host: "127.0.0.1", port: 7003 }]);
      await untilHosts(orders.state, ["127.0.0.1:7003"]);
      await untilFresh(orders.state);
      assert.deepEqual(
        lines.map((line) => [line.level, line.msg]),
        [
          [40, "no good answer for orders: the last good answer is kept"],
          [30, "consul answers for orders again"],
        ],
      );
    });
  });
}

test("a list that becomes empty without a change of its index is not believed", async () => {
  await withFake(async ({ fake, orders }) => {
    await untilHosts(orders.state, TWO_HOSTS);
    // As when the token loses a permission: the list is filtered, its index is not touched.
    fake.setQuietly("orders", []);
    assert.match(await untilStale(orders.state), /^the list became empty without a change of its index$/);
    await sleep(400);
    assert.deepEqual(hosts(orders.state.current), TWO_HOSTS);
    fake.setQuietly("orders", TWO);
    await untilFresh(orders.state);
  });
});

test("a list that becomes empty with a change of its index is believed", async () => {
  await withFake(async ({ fake, orders }) => {
    await untilHosts(orders.state, TWO_HOSTS);
    await untilBlocking(fake);
    fake.set("orders", []);
    await untilHosts(orders.state, [], 100);
    await untilFresh(orders.state);
  });
});

test("a list that is empty after Consul lost its memory is believed only after a while and a change", async () => {
  await withFake(async ({ fake, orders }) => {
    await untilHosts(orders.state, TWO_HOSTS);
    await untilBlocking(fake);
    fake.index = 3;
    fake.set("orders", []);
    assert.match(await untilStale(orders.state), /right after an outage|without a change of its index/);
    // Others register, which moves the index of a name without instances, too early.
    fake.set("orders", []);
    await sleep(150);
    assert.deepEqual(hosts(orders.state.current), TWO_HOSTS);
    await untilHosts(orders.state, [], 1000);
  });
});

test("a list that is empty right after an outage is believed only after a while", async () => {
  await withFake(async ({ fake, orders }) => {
    await untilHosts(orders.state, TWO_HOSTS);
    await fake.stop();
    await untilStale(orders.state);
    fake.set("orders", []);
    const begin = performance.now();
    await fake.start();
    await sleep(100);
    assert.deepEqual(hosts(orders.state.current), TWO_HOSTS);
    await untilHosts(orders.state, [], 1000);
    assert.ok(performance.now() - begin > 250);
  });
});

test("instances that register again after an outage are taken at once", async () => {
  await withFake(async ({ fake, orders }) => {
    await untilHosts(orders.state, TWO_HOSTS);
    await fake.stop();
    await untilStale(orders.state);
    fake.index = 3;
    fake.set("orders", []);
    await fake.start();
    await sleep(50);
    fake.set("orders", [{ host: "127.0.0.1", port: 7005 }]);
    await untilHosts(orders.state, ["127.0.0.1:7005"], 400);
  });
});

test("a cold start at a server without a leader uses what it says, as stale", async () => {
  await withFake(
    async ({ fake, orders }) => {
      await untilHosts(orders.state, TWO_HOSTS);
      assert.match(await untilStale(orders.state), /no cluster leader/);
      fake.headers = {};
      await untilFresh(orders.state);
    },
    {
      prepare: (fake) => {
        fake.headers = { "x-consul-knownleader": "false" };
      },
    },
  );
});

test("while the agent is away it is asked with growing, different pauses", async () => {
  await withFake(
    async ({ fake, orders }) => {
      await untilHosts(orders.state, TWO_HOSTS);
      fake.script = status(500, "No cluster leader");
      fake.set("orders", TWO);
      await untilStale(orders.state);
      const before = fake.requests.length;
      await sleep(600);
      const times = fake.requests.slice(before).map((request) => request.at);
      assert.ok(times.length >= 2 && times.length <= 20, `${times.length} queries`);
      const pauses = times.slice(1).map((time, n) => Math.round(time - (times[n] ?? 0)));
      assert.ok(new Set(pauses).size > 1, pauses.join(" "));
    },
    { timings: { backoffBase: 50, backoffCap: 200 } },
  );
});

async function untilBlocking(fake: FakeConsul): Promise<void> {
  await until(
    () => fake.held,
    (held) => held === 1,
  );
}
