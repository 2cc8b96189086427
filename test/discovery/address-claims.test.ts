import assert from "node:assert/strict";
import { test } from "node:test";
import { NameBook } from "../../src/discovery/name-book.ts";
import { NameState } from "../../src/discovery/name-state.ts";
import type { EndpointSpec } from "../../src/discovery/source.ts";
import { FakeClock } from "../support/clock.ts";
import { hosts, testServices } from "./services.ts";

const at = (port: number, id = `id-${port}`): EndpointSpec => ({
  id,
  address: { kind: "tcp", host: "10.0.0.1", port },
  weight: 1,
  zone: undefined,
  meta: {},
});

function start() {
  const clock = new FakeClock();
  const services = testServices(clock);
  const book = new NameBook("consul", "", services);
  const open = (name: string) => new NameState(name, book);
  const ports = (state: NameState) => hosts(state.watch.current)?.map((host) => Number(host.split(":")[1]));
  return { clock, book, open, ports, lines: services.lines };
}

test("an address of a list that is kept leaves it when another name is given it", () => {
  const { clock, open, ports, lines } = start();
  const [orders, billing] = [open("orders"), open("billing")];
  orders.take([at(1), at(2)]);
  billing.take([at(3)]);
  clock.advance(1000);
  orders.keep("away");
  assert.deepEqual(ports(orders), [1, 2]);
  clock.advance(1000);
  billing.take([at(2, "other"), at(3)]);
  assert.deepEqual(ports(orders), [1]);
  assert.deepEqual(ports(billing), [2, 3]);
  orders.keep("still away");
  assert.deepEqual(ports(orders), [1]);
  assert.deepEqual(
    lines.filter((line) => line.successor !== undefined).map((line) => [line.upstream, line.msg]),
    [["orders", "10.0.0.1:2 is an instance of billing now and is not used for orders any more"]],
  );
});

test("it does not come back with the old list, but with a new one", () => {
  const { clock, open, ports } = start();
  const [orders, billing] = [open("orders"), open("billing")];
  orders.take([at(1)]);
  billing.take([]);
  clock.advance(1000);
  orders.keep("away");
  billing.take([at(1)]);
  assert.deepEqual(ports(orders), []);
  billing.take([]);
  assert.deepEqual(ports(orders), []);
  orders.take([at(1)]);
  assert.deepEqual(ports(orders), [1]);
});

test("one that is given away before the other list is kept leaves it then", () => {
  const { clock, open, ports } = start();
  const [orders, billing] = [open("orders"), open("billing")];
  orders.take([at(1)]);
  clock.advance(1000);
  billing.take([at(1)]);
  assert.deepEqual(ports(orders), [1], "the answer for orders is in force, and so it is both's");
  orders.keep("away");
  assert.deepEqual(ports(orders), []);
});

test("an address that two names had together stays with both, kept or not", () => {
  const { clock, open, ports } = start();
  const [orders, billing] = [open("orders"), open("billing")];
  billing.take([at(1)]);
  clock.advance(1000);
  orders.take([at(1)]);
  clock.advance(1000);
  billing.take([at(1)]);
  orders.keep("away");
  assert.deepEqual([ports(orders), ports(billing)], [[1], [1]]);
});

test("a name that is watched no longer has nothing", () => {
  const { clock, open, ports } = start();
  const [orders, billing] = [open("orders"), open("billing")];
  orders.take([at(1)]);
  clock.advance(1000);
  billing.take([at(1)]);
  billing.close();
  orders.keep("away");
  assert.deepEqual(ports(orders), [1]);
});

test("of two sidecars at one address the one that came last is there", () => {
  const { open, ports, lines } = start();
  const [orders, billing] = [open("orders"), open("billing")];
  orders.take(
    [at(1, "o1"), at(2, "o2")],
    new Map([
      ["o1", 10n],
      ["o2", 11n],
    ]),
  );
  billing.take([at(1, "b1")], new Map([["b1", 20n]]));
  assert.deepEqual([ports(orders), ports(billing)], [[2], [1]]);
  // The catalog goes on to list the one that has gone, until its check expires.
  orders.take(
    [at(1, "o1"), at(2, "o2")],
    new Map([
      ["o1", 10n],
      ["o2", 11n],
    ]),
  );
  assert.deepEqual([ports(orders), ports(billing)], [[2], [1]]);
  assert.equal(lines.filter((line) => line.successor === "billing").length, 1);
  // It comes back to the same place under its old id.
  orders.take(
    [at(1, "o1"), at(2, "o2")],
    new Map([
      ["o1", 30n],
      ["o2", 11n],
    ]),
  );
  assert.deepEqual([ports(orders), ports(billing)], [[1, 2], []]);
  orders.take([at(2, "o2")], new Map([["o2", 11n]]));
  assert.deepEqual([ports(orders), ports(billing)], [[2], [1]]);
});

test("a server without a sidecar may have several names", () => {
  const { open, ports } = start();
  const [orders, billing] = [open("orders"), open("billing")];
  orders.take([at(1, "o1")], new Map([["o1", 10n]]));
  billing.take([at(1, "b1")], new Map());
  assert.deepEqual([ports(orders), ports(billing)], [[1], [1]]);
});

test("addresses that the catalog says are another's leave the list that is kept", () => {
  const { open, ports } = start();
  const orders = open("orders");
  orders.take([at(1), at(2)]);
  orders.keep("the list became empty");
  orders.withdraw(new Map([["10.0.0.1:2", "shipping"]]));
  assert.deepEqual(ports(orders), [1]);
  orders.keep("the list became empty");
  assert.deepEqual(ports(orders), [1]);
});

test("two names of one service take nothing from each other", () => {
  const { clock, book, ports } = start();
  const all = new NameState("orders", book, undefined, "orders", "orders");
  const some = new NameState("orders where x", book, undefined, "orders where x", "orders");
  all.take([at(1), at(2)], new Map([["id-1", 10n]]));
  clock.advance(1000);
  all.keep("away");
  clock.advance(1000);
  some.take([at(1)], new Map([["id-1", 20n]]));
  assert.deepEqual(ports(all), [1, 2]);
  assert.deepEqual(ports(some), [1]);
});
