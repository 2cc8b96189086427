import assert from "node:assert/strict";
import { test } from "node:test";
import type { HealthAnswer } from "../../src/cluster/grpc-health.ts";
import { ApplicationHealth } from "../../src/control/application-health.ts";
import type { HealthStatus } from "../../src/control/view.ts";
import { Watch } from "../../src/core/watch.ts";
import { FakeClock } from "../support/clock.ts";

/** What is asked of an application, without one. */
class Scripted {
  readonly state = new Watch({ serving: true, note: "" });
  readonly asked: string[] = [];
  answer: HealthAnswer = "SERVING";

  ask(service: string): Promise<HealthAnswer> {
    this.asked.push(service);
    return Promise.resolve(this.answer);
  }
}

function health(withApplication = true) {
  const application = new Scripted();
  const draining = new Watch(false);
  const clock = new FakeClock();
  const sidecar = { ready: true };
  const asked = new ApplicationHealth({
    application: () => (withApplication ? application : undefined),
    ready: () => sidecar.ready,
    draining,
    clock,
  });
  return { application, draining, clock, sidecar, asked };
}

/** Lets promises that are settled tell their listeners. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("the application's word is passed on, and anything that is none counts as not serving", async () => {
  const { application, asked } = health();
  const words: [HealthAnswer, HealthStatus][] = [
    ["SERVING", "SERVING"],
    ["NOT_SERVING", "NOT_SERVING"],
    ["SERVICE_UNKNOWN", "SERVICE_UNKNOWN"],
    ["UNIMPLEMENTED", "NOT_SERVING"],
    [{ error: "no answer" }, "NOT_SERVING"],
  ];
  for (const [answer, expected] of words) {
    application.answer = answer;
    assert.equal(await asked.ask("user"), expected);
  }
  assert.equal(application.asked.length, words.length);
});

test("while draining nothing serves and nobody is asked", async () => {
  const { application, draining, asked } = health();
  const late = asked.ask("");
  draining.set(true);
  assert.equal(await late, "NOT_SERVING");
  assert.equal(await asked.ask(""), "NOT_SERVING");
  assert.deepEqual(application.asked, [""]);
});

test("a sidecar without an application speaks for itself, and knows no service", async () => {
  const { sidecar, asked } = health(false);
  assert.equal(await asked.ask(""), "SERVING");
  assert.equal(await asked.ask("user"), "SERVICE_UNKNOWN");
  sidecar.ready = false;
  assert.equal(await asked.ask(""), "NOT_SERVING");
});

test("a watch asks at once, every five seconds, at a change and at the drain, and leaves nothing behind", async () => {
  const { application, draining, clock, asked } = health();
  const told: HealthStatus[] = [];
  const end = asked.watch("", (status) => told.push(status));
  await settled();
  assert.deepEqual(told, ["SERVING"]);

  application.answer = "NOT_SERVING";
  application.state.set({ serving: false, note: "" });
  await settled();
  assert.deepEqual(told, ["SERVING", "NOT_SERVING"]);

  application.answer = "SERVING";
  clock.advance(5000);
  await settled();
  assert.deepEqual(told, ["SERVING", "NOT_SERVING", "SERVING"]);

  draining.set(true);
  await settled();
  assert.equal(told.at(-1), "NOT_SERVING");
  assert.equal(clock.pending, 1);

  end();
  assert.equal(clock.pending, 0);
  draining.set(false);
  application.state.set({ serving: true, note: "" });
  await settled();
  assert.equal(told.length, 4);
  assert.equal(clock.pending, 0);
});

test("a watch that ends while the application is being asked tells nothing more", async () => {
  const { clock, asked } = health();
  const told: HealthStatus[] = [];
  asked.watch("user", (status) => told.push(status))();
  await settled();
  assert.deepEqual(told, []);
  assert.equal(clock.pending, 0);
});

test("a watch of a named service asks by that name", async () => {
  const { application, clock, asked } = health();
  const end = asked.watch("user.v1.UserService", () => {});
  await settled();
  clock.advance(5000);
  await settled();
  assert.deepEqual(application.asked, ["user.v1.UserService", "user.v1.UserService"]);
  end();
});
