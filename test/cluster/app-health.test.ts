import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { pino } from "pino";
import { AppHealth, type HealthCheck } from "../../src/cluster/app-health.ts";
import { FakeClock, settled } from "../support/clock.ts";
import { freePort } from "../support/ports.ts";
import { FakeServer } from "./fake-server.ts";
import { NOTHING_LEFT, PoolHarness } from "./pool/harness.ts";

const log = pino({ enabled: false });

/** An application in memory that answers a health check with `status`, asked over a pool. */
class App extends PoolHarness {
  status: "SERVING" | "NOT_SERVING" | "UNIMPLEMENTED" = "SERVING";
  asked = 0;
  readonly health: AppHealth;
  readonly changes: string[] = [];

  constructor(mode: FakeServer["mode"] = "accept") {
    super();
    this.server.mode = mode;
    this.server.respond = (stream) => {
      this.asked++;
      const { headers } = this.server.services;
      const head = [
        [":status", "200"],
        ["content-type", "application/grpc"],
      ] as const;
      if (this.status === "UNIMPLEMENTED") {
        stream.sendHead(headers.head([...head, ["grpc-status", "12"]]), true);
        return;
      }
      stream.sendHead(headers.head(head), false);
      stream.sendData(Buffer.from([0, 0, 0, 0, 2, 8, this.status === "SERVING" ? 1 : 2]), 0, 7, false);
      stream.sendTrailers(headers.head([["grpc-status", "0"]]));
    };
    this.health = new AppHealth({ kind: "grpc", pool: this.pool }, { ...this.server.services, log });
    this.health.state.onChange(({ serving, note }) => void this.changes.push(`${serving}: ${note}`));
  }

  async end(): Promise<void> {
    this.health.close();
    assert.deepEqual(await this.leftovers(), NOTHING_LEFT);
  }
}

test("an application is asked at once, often until it serves for the first time, and every 5 s from then on", async () => {
  const app = new App("refuse");
  await settled();
  assert.equal(app.server.dials, 1);
  assert.deepEqual(app.health.state.current, { serving: false, note: "connection refused" });
  await app.clock.pass(1000);
  assert.equal(app.server.dials, 5);
  app.server.mode = "accept";
  await app.clock.pass(250);
  assert.deepEqual(app.health.state.current, { serving: true, note: "SERVING" });
  assert.equal(app.asked, 1);
  await app.clock.pass(4999);
  assert.equal(app.asked, 1);
  await app.clock.pass(1);
  assert.equal(app.asked, 2);
  await app.clock.pass(50_000);
  assert.equal(app.asked, 12);
  assert.deepEqual(app.changes, ["false: connection refused", "true: SERVING"], "only news are told");
  await app.end();
});

test("an application that stops serving, answers something else, or goes away is not serving, and says why", async () => {
  const app = new App();
  await app.clock.pass(300);
  app.status = "NOT_SERVING";
  await app.clock.pass(5000);
  app.status = "UNIMPLEMENTED";
  await app.clock.pass(5000);
  app.server.mode = "refuse";
  for (const { transport } of app.server.accepted) transport.cut();
  await app.clock.pass(5000);
  app.status = "SERVING";
  app.server.mode = "accept";
  await app.clock.pass(5000);
  assert.deepEqual(app.changes, [
    "true: SERVING",
    "false: NOT_SERVING",
    "false: the application does not implement grpc.health.v1.Health: let it, or set service.health to tcp or none",
    "false: connection refused",
    "true: SERVING",
  ]);
  await app.end();
});

test("an application that hangs is not serving after 3 s", async () => {
  const app = new App();
  await app.clock.pass(300);
  app.server.respond = () => {};
  await app.clock.pass(4750 + 3000);
  assert.deepEqual(app.health.state.current, { serving: false, note: "no answer to a health check within 3000 ms" });
  await app.end();
});

test("a closed one asks no more and tells nobody of an answer that was under way", async () => {
  const app = new App();
  app.health.close();
  app.health.close();
  await app.clock.pass(60_000);
  assert.deepEqual(app.changes, []);
  assert.equal(app.asked, 1);
  await app.end();
});

test("anybody may ask for one service, between the questions of its own", async () => {
  const app = new App();
  await app.clock.pass(300);
  const found = app.health.ask("user.v1.UserService");
  await settled();
  assert.equal(await found, "SERVING");
  assert.equal(app.asked, 2);
  await app.end();
});

function healthOf(check: HealthCheck): { readonly health: AppHealth; readonly clock: FakeClock } {
  const clock = new FakeClock();
  return { health: new AppHealth(check, { ...new FakeServer(clock).services, log }), clock };
}

test("an application that is not asked counts as serving, and only as a whole", async () => {
  const { health, clock } = healthOf({ kind: "none" });
  assert.deepEqual(health.state.current, { serving: true, note: "not asked" });
  assert.equal(await health.ask(""), "SERVING");
  assert.equal(await health.ask("a.B"), "SERVICE_UNKNOWN");
  assert.equal(clock.pending, 0);
});

test("an application that is asked by TCP serves while its port takes connections", async () => {
  const port = await freePort();
  const { health, clock } = healthOf({ kind: "tcp", address: { kind: "tcp", host: "127.0.0.1", port } });
  assert.equal(health.state.current.serving, false);
  while (health.state.current.note === "has not answered yet") await sleep(5);
  assert.match(health.state.current.note, /connection refused, nothing listens there$/);
  const server = createServer();
  await once(server.listen(port, "127.0.0.1"), "listening");
  assert.equal((server.address() as AddressInfo).port, port);
  clock.advance(250);
  while (!health.state.current.serving) await sleep(5);
  assert.equal(await health.ask(""), "SERVING");
  assert.equal(await health.ask("a.B"), "SERVICE_UNKNOWN");
  health.close();
  assert.equal(clock.pending, 0);
  await new Promise((resolve) => server.close(resolve));
});
