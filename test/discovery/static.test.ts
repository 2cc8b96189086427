import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "../../src/core/address.ts";
import { StaticSource } from "../../src/discovery/static.ts";
import { discoveryContract } from "../contracts/discovery.ts";
import { hosts, testServices } from "./services.ts";

discoveryContract(
  "static",
  async () => {
    const services = testServices();
    const endpoints = new Map<string, Address[]>();
    const source = new StaticSource(endpoints, services);
    return {
      source,
      lines: services.lines,
      publish: async (name, instances) => {
        endpoints.set(
          name,
          instances.map(({ host, port }) => ({ kind: "tcp", host, port })),
        );
        source.replace(endpoints);
      },
      fail: async () => {},
      heal: async () => {},
      held: () => undefined,
      close: async () => {},
    };
  },
  { withoutFailure: "a configuration does not fail", withoutMeta: "a configured endpoint is an address only" },
);

test("static endpoints are known at once, each address once, unix sockets too", () => {
  const services = testServices();
  const address: Address = { kind: "tcp", host: "127.0.0.1", port: 7001 };
  const socket: Address = { kind: "unix", path: "/run/orders.sock", mode: 0o600 };
  const source = new StaticSource(new Map([["orders", [address, socket, address]]]), services);
  assert.deepEqual(hosts(source.subscribe("orders").state.current), ["/run/orders.sock", "127.0.0.1:7001"]);
});
