import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/core/clock.ts";
import { createLog } from "../../src/observability/log.ts";
import { Publisher } from "../../src/runtime/publisher.ts";
import { makeServices } from "../../src/runtime/services.ts";
import { good } from "../config/load-text.ts";

test("what was withdrawn while the sidecar still started is not published once it has", async () => {
  const config = good("service: { name: up, address: 127.0.0.1:1 }");
  const log = createLog({
    service: "up",
    version: "0",
    level: "silent",
    clock: systemClock,
    sink: { write: () => {} },
  });
  const publisher = new Publisher({
    inForce: () => assert.fail("it looks for something to publish"),
    registrar: () => assert.fail("it looks for somebody to publish it"),
    services: makeServices(systemClock, log, config, "0"),
    podIp: undefined,
    version: "0",
  });
  await publisher.withdraw();
  await publisher.start();
});
