import assert from "node:assert/strict";
import { test } from "node:test";
import { NameBook } from "../../src/discovery/name-book.ts";
import { NameState } from "../../src/discovery/name-state.ts";
import type { EndpointSpec } from "../../src/discovery/source.ts";
import { FakeClock } from "../support/clock.ts";
import { testServices } from "./services.ts";

const endpoint = (id: string, weight = 1): EndpointSpec => ({
  id,
  address: { kind: "tcp", host: "10.0.0.1", port: 80 },
  weight,
  zone: undefined,
  meta: {},
});

function start() {
  const clock = new FakeClock();
  const services = testServices(clock);
  const state = new NameState("orders", new NameBook("consul", "", services));
  const known = () => {
    const { current } = state.watch;
    assert.ok(current.kind === "known");
    return current;
  };
  return { clock, state, known, lines: services.lines };
}

test("a name is pending until the first answer, with the reason", () => {
  const { state } = start();
  assert.deepEqual(state.watch.current, { kind: "pending", error: undefined });
  state.keep("refused");
  assert.deepEqual(state.watch.current, { kind: "pending", error: "refused" });
});

test("a list has the same identity while its content is the same, whatever its order", () => {
  const { state, known } = start();
  state.take([endpoint("a"), endpoint("b")]);
  const { endpoints } = known();
  state.take([endpoint("b"), endpoint("a")]);
  assert.equal(known().endpoints, endpoints);
  state.keep("away");
  assert.equal(known().endpoints, endpoints);
  state.take([endpoint("a"), endpoint("b", 2)]);
  assert.notEqual(known().endpoints, endpoints);
});

test("a stale list says since when, and of when it is", () => {
  const { clock, state, known } = start();
  state.take([endpoint("a")]);
  const taken = clock.wall();
  clock.advance(1000);
  state.keep("away");
  clock.advance(1000);
  state.keep("still away");
  assert.deepEqual(known(), { ...known(), updatedAt: taken, staleSince: taken + 1000, error: "still away" });
  clock.advance(1000);
  state.take([endpoint("a")]);
  assert.deepEqual(known(), { ...known(), updatedAt: taken + 3000, staleSince: undefined, error: undefined });
});

test("a borrowed list is stale from the beginning", () => {
  const { clock, state, known } = start();
  state.borrow([endpoint("a")], "no leader");
  assert.equal(known().staleSince, clock.wall());
  assert.equal(known().endpoints.length, 1);
});

test("one line is logged for each change of state, not for each try", () => {
  const { state, lines } = start();
  for (let n = 0; n < 3; n++) state.keep("away");
  for (let n = 0; n < 3; n++) state.take([endpoint("a")]);
  for (let n = 0; n < 3; n++) state.keep("away again");
  state.take([endpoint("a")]);
  assert.deepEqual(
    lines.map((line) => [line.level, line.msg, line.upstream, line.source]),
    [
      [40, "no good answer for orders: nothing is known yet", "orders", "consul"],
      [30, "consul answers for orders again", "orders", "consul"],
      [40, "no good answer for orders: the last good answer is kept", "orders", "consul"],
      [30, "consul answers for orders again", "orders", "consul"],
    ],
  );
});
