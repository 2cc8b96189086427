import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint } from "../../src/cluster/endpoint.ts";
import type { EndpointSpec } from "../../src/discovery/source.ts";
import type { Failure } from "../../src/http/call.ts";
import { EndpointSearch, type SearchOwner } from "../../src/proxy/endpoint-search.ts";
import { ClusterHarness, NOTHING_LEFT } from "../cluster/cluster-harness.ts";
import { spec } from "../cluster/endpoints.ts";
import { makeCall } from "../filters/make-call.ts";
import { settled } from "../support/clock.ts";

/** A call that notes what its attempts tell it. */
class Owner implements SearchOwner {
  readonly heard: string[] = [];
  patient = true;

  onConnection(endpoint: Endpoint): void {
    this.heard.push(`connection ${endpoint.id}`);
  }

  onNoEndpoint({ reason, unprocessed }: Failure): void {
    this.heard.push(`${reason}${unprocessed ? " unprocessed" : ""}`);
  }

  onWait(): boolean {
    this.heard.push("wait");
    return this.patient;
  }
}

function setup(...known: EndpointSpec[]) {
  const harness = new ClusterHarness({}, ...known);
  const owner = new Owner();
  const attempts = new EndpointSearch(harness.cluster, makeCall(), harness.clock, owner);
  const inFlight = () => [...harness.cluster.endpoints].map((endpoint) => endpoint.inFlight);
  const ended = async (): Promise<void> => {
    attempts.stop();
    assert.equal(harness.cluster.activeCalls, 0, "every attempt that was started is done");
    assert.deepEqual(await harness.leftovers(), NOTHING_LEFT);
  };
  return { harness, owner, attempts, inFlight, ended };
}

test("an attempt waits for a connection and is counted at its endpoint until it is done", async () => {
  const { owner, attempts, inFlight, ended } = setup(spec(1));
  attempts.next();
  assert.deepEqual(owner.heard, ["wait"]);
  await settled();
  assert.deepEqual(owner.heard, ["wait", "connection 1"]);
  assert.deepEqual(inFlight(), [1]);
  attempts.done("ok");
  attempts.done("ok");
  assert.deepEqual(inFlight(), [0]);
  attempts.next();
  assert.deepEqual(owner.heard.at(-1), "connection 1", "where a connection stands nobody waits");
  await ended();
});

test("endpoints that cannot be reached are passed over, each tried once, and the last failure is the answer", async () => {
  const { harness, owner, attempts, ended } = setup(spec(1), spec(2), spec(3));
  for (const port of [1, 2]) harness.on(port).mode = "refuse";
  attempts.next();
  await settled(20);
  assert.deepEqual(owner.heard.at(-1), "connection 3");
  await ended();

  const none = setup(spec(1), spec(2));
  for (const port of [1, 2]) none.harness.on(port).mode = "refuse";
  none.attempts.next();
  await settled(20);
  assert.deepEqual(none.owner.heard.at(-1), "CONNECT_REFUSED unprocessed");
  assert.deepEqual([none.harness.on(1).dials, none.harness.on(2).dials], [1, 1]);
  await none.ended();
});

test("a call waits for the first answer of discovery, whatever it is", async () => {
  const found = setup();
  found.attempts.next();
  assert.deepEqual(found.owner.heard, ["wait"]);
  found.harness.discover(spec(1));
  await settled();
  assert.deepEqual(found.owner.heard.at(-1), "connection 1");
  await found.ended();

  const empty = setup();
  empty.attempts.next();
  empty.harness.discover();
  assert.deepEqual(empty.owner.heard, ["wait", "NO_ENDPOINTS unprocessed"]);
  await empty.ended();
});

test("a call whose upstream goes away while it waits is told", async () => {
  const { harness, owner, attempts, ended } = setup();
  attempts.next();
  harness.cluster.close();
  assert.deepEqual(owner.heard, ["wait", "NO_ENDPOINTS unprocessed"]);
  await ended();
});

test("a call that may not wait does not, and one that has stopped hears nothing more", async () => {
  const impatient = setup(spec(1));
  impatient.owner.patient = false;
  impatient.attempts.next();
  await settled();
  assert.deepEqual(impatient.owner.heard, ["wait"]);
  await impatient.ended();

  const stopped = setup(spec(1));
  stopped.attempts.next();
  stopped.attempts.stop();
  await settled();
  assert.deepEqual(stopped.owner.heard, ["wait"]);
  await stopped.ended();

  const early = setup();
  early.attempts.next();
  early.attempts.stop();
  early.harness.discover(spec(1));
  await settled();
  assert.deepEqual(early.owner.heard, ["wait"]);
  await early.ended();
});

test("a refused call is made again elsewhere while there is an elsewhere, once at the same, and a few times in all", async () => {
  const alone = setup(spec(1));
  alone.attempts.next();
  await settled();
  assert.equal(alone.attempts.again("refused"), true);
  assert.equal(alone.attempts.again("refused"), false);
  await alone.ended();
  const busy = setup(spec(1), spec(2));
  busy.attempts.next();
  await settled();
  assert.equal(busy.attempts.again("sidecar", true), true);
  busy.attempts.done("failure");
  busy.attempts.next();
  await settled();
  assert.equal(busy.attempts.again("sidecar", true), false, "only another one would help");
  await busy.ended();

  const many = setup(...[1, 2, 3, 4, 5, 6].map((port) => spec(port)));
  many.attempts.next();
  await settled();
  let times = 0;
  for (; many.attempts.again("refused"); times++) {
    many.attempts.done("failure");
    many.attempts.next();
    await settled();
  }
  assert.equal(times, 3);
  const tried = many.owner.heard.filter((what) => what.startsWith("connection"));
  assert.equal(new Set(tried).size, 4, `another endpoint each time: ${tried.join(", ")}`);
  await many.ended();
});

test("nothing is made again that was never tried", async () => {
  const { attempts, ended } = setup(spec(1));
  assert.equal(attempts.again("refused"), false);
  await ended();
});
