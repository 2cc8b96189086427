import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ConsulRegistrar } from "../../../src/discovery/consul/registrar.ts";
import type { Registration } from "../../../src/discovery/source.ts";
import { testServices, until } from "../services.ts";
import { FakeConsul, type Recorded, refuse } from "./fake-consul.ts";
import { consulOptions } from "./support.ts";

const registration: Registration = {
  id: "user-10.0.0.1-15006",
  name: "user",
  host: "10.0.0.1",
  port: 15006,
  tags: ["v1"],
  meta: { zone: "a", outrigger: "1.2.3", mtls: "disabled" },
  weight: 3,
};
const REGISTER = "/v1/agent/service/register";
const DEREGISTER = "/v1/agent/service/deregister/user-10.0.0.1-15006";
const UPDATE = "/v1/agent/check/update/service%3Auser-10.0.0.1-15006";
const FAST = { beat: 50, timeout: 200, backoffBase: 10, backoffCap: 40, deregisterTimeout: 100 };

interface Setup {
  readonly fake: FakeConsul;
  readonly registrar: ConsulRegistrar;
  /** METHOD PATH of what was asked, or the state that was passed on. */
  readonly asked: () => string[];
  /** Level and text of what was logged. */
  readonly lines: () => unknown[];
}

async function withRegistrar(body: (setup: Setup) => Promise<void>, timings = FAST): Promise<void> {
  const fake = await new FakeConsul().start();
  const services = testServices();
  const registrar = new ConsulRegistrar(consulOptions(fake.address, { token: "secret" }), services, timings);
  try {
    await body({
      fake,
      registrar,
      asked: () => fake.requests.map(wordOf),
      lines: () => services.lines.map((line) => [line.level, line.msg]),
    });
  } finally {
    await registrar.deregister();
    await fake.stop();
  }
}

function wordOf({ method, path, body }: Recorded): string {
  if (path === REGISTER) return "register";
  if (path === DEREGISTER) return "deregister";
  if (path === UPDATE) return `${Reflect.get(Object(body), "Status")}: ${Reflect.get(Object(body), "Output")}`;
  return `${method} ${path}`;
}

const count = (words: readonly string[], word: string) => words.filter((each) => each === word).length;
const untilAsked = (asked: () => string[], word: string, times = 1) =>
  until(asked, (words) => count(words, word) >= times);

test("the registration has the words and values of the contract, and the token", async () => {
  await withRegistrar(async ({ fake, registrar }) => {
    await registrar.register(registration);
    const [request] = fake.requests;
    assert.equal(request?.method, "PUT");
    assert.equal(request.path, REGISTER);
    assert.equal(request.token, "secret");
    assert.deepEqual(request.body, {
      ID: "user-10.0.0.1-15006",
      Name: "user",
      Address: "10.0.0.1",
      Port: 15006,
      Tags: ["v1"],
      Meta: { zone: "a", outrigger: "1.2.3", mtls: "disabled" },
      Weights: { Passing: 3, Warning: 1 },
      Check: { TTL: "15s", DeregisterCriticalServiceAfter: "1m" },
    });
  });
});

test("it is critical until the application serves, then at once passing, and critical at once when it ends", async () => {
  const hour = { ...FAST, beat: 3_600_000 };
  await withRegistrar(async ({ registrar, asked }) => {
    await registrar.register(registration);
    await untilAsked(asked, "critical: the application has not answered yet");
    registrar.setHealth(true, "SERVING");
    await untilAsked(asked, "passing: SERVING");
    registrar.setHealth(false, "NOT_SERVING");
    await untilAsked(asked, "critical: NOT_SERVING");
    assert.equal(asked().length, 4);
  }, hour);
});

test("health that is known before the registration is passed on right after it", async () => {
  await withRegistrar(async ({ registrar, asked }) => {
    registrar.setHealth(true, "SERVING");
    await registrar.register(registration);
    await until(asked, (words) => words.length >= 2);
    assert.deepEqual(asked().slice(0, 2), ["register", "passing: SERVING"]);
  });
});

test("the check is passed again and again, with the latest note, at uneven times", async () => {
  await withRegistrar(async ({ fake, registrar, asked }) => {
    registrar.setHealth(true, "one");
    await registrar.register(registration);
    await untilAsked(asked, "passing: one", 4);
    registrar.setHealth(true, "two");
    await untilAsked(asked, "passing: two", 4);
    assert.equal(count(asked(), "register"), 1);
    const times = fake.requests.slice(1).map((request) => request.at);
    const pauses = times.slice(1).map((time, n) => Math.round(time - (times[n] ?? 0)));
    assert.ok(new Set(pauses).size > 1, pauses.join(" "));
  });
});

test("a health that changes while a request is under way is passed on right after it", async () => {
  const hour = { ...FAST, beat: 3_600_000 };
  await withRegistrar(async ({ fake, registrar, asked }) => {
    await registrar.register(registration);
    await untilAsked(asked, "critical: the application has not answered yet");
    fake.script = (request, response) => {
      if (wordOf(request) !== "passing: SERVING") return false;
      registrar.setHealth(false, "gone");
      setTimeout(() => response.end(), 20);
      return true;
    };
    registrar.setHealth(true, "SERVING");
    await untilAsked(asked, "critical: gone");
  }, hour);
});

for (const [status, text] of [
  [404, 'Unknown check ID "service:user-10.0.0.1-15006". Ensure that the check ID is passed, not the check name.'],
  [500, 'CheckID "service:user-10.0.0.1-15006" does not have associated TTL'],
  [500, 'Unknown check "service:user-10.0.0.1-15006"'],
] as const) {
  test(`it registers again when the agent says ${status} ${text.slice(0, 22)}`, async () => {
    await withRegistrar(async ({ fake, registrar, asked, lines }) => {
      registrar.setHealth(true, "SERVING");
      await registrar.register(registration);
      await untilAsked(asked, "passing: SERVING");
      fake.services.clear();
      fake.script = (request, response) => {
        if (fake.services.size > 0 || request.path !== UPDATE) return false;
        refuse(response, status, text);
        return true;
      };
      await untilAsked(asked, "register", 2);
      await untilAsked(asked, "passing: SERVING", 3);
      const after = asked().slice(asked().lastIndexOf("register"));
      assert.equal(after[1], "passing: SERVING");
      assert.deepEqual(lines(), [
        [30, "registered in consul"],
        [30, "the agent has forgotten the service, which is registered again"],
      ]);
    });
  });
}

test("an agent that forgets at once is not asked in a spin", async () => {
  await withRegistrar(async ({ fake, registrar }) => {
    fake.script = (request, response) => {
      if (request.path !== UPDATE) return false;
      refuse(response, 404, 'Unknown check ID "x"');
      return true;
    };
    void registrar.register(registration);
    await sleep(400);
    assert.ok(fake.requests.length > 4 && fake.requests.length < 100, `${fake.requests.length} requests`);
  });
});

test("an agent that comes late gets the registration when it comes, with one line in between", async () => {
  await withRegistrar(async ({ fake, registrar, lines }) => {
    await fake.stop();
    let registered = false;
    const done = registrar.register(registration).then(() => {
      registered = true;
    });
    await sleep(200);
    assert.equal(registered, false);
    await fake.start();
    await done;
    await until(lines, (all) => all.length === 3);
    assert.deepEqual(lines(), [
      [40, "consul does not take the registration or its health, which is tried again"],
      [30, "registered in consul"],
      [30, "consul takes the registration and its health again"],
    ]);
  });
});

test("failures of every kind are tried again with pauses, never thrown, and told of once", async () => {
  await withRegistrar(async ({ fake, registrar, asked, lines }) => {
    registrar.setHealth(true, "SERVING");
    await registrar.register(registration);
    await untilAsked(asked, "passing: SERVING");
    const failures: ((response: Parameters<FakeConsul["script"]>[1]) => void)[] = [
      (response) => refuse(response, 403, "Permission denied"),
      (response) => refuse(response, 429, "busy"),
      (response) => refuse(response, 500, "No cluster leader"),
      (response) => response.socket?.destroy(),
      () => {},
    ];
    fake.script = (_request, response) => {
      const fail = failures.shift();
      fail?.(response);
      return fail !== undefined;
    };
    await until(
      () => failures.length,
      (left) => left === 0,
    );
    await until(lines, (all) => all.length === 3);
    assert.deepEqual(lines().slice(1), [
      [40, "consul does not take the registration or its health, which is tried again"],
      [30, "consul takes the registration and its health again"],
    ]);
    assert.equal(count(asked(), "register"), 1);
  });
});

test("deregister withdraws the service, and nothing comes after it", async () => {
  await withRegistrar(async ({ fake, registrar, asked, lines }) => {
    await registrar.register(registration);
    await registrar.deregister();
    assert.equal(asked().at(-1), "deregister");
    assert.deepEqual([...fake.services], []);
    assert.deepEqual(lines().at(-1), [30, `deregistered ${registration.id} from consul`]);
    registrar.setHealth(true, "SERVING");
    await sleep(100);
    assert.equal(asked().at(-1), "deregister");
    assert.equal(await fake.connections(), 0);
    await registrar.deregister();
    assert.equal(count(asked(), "deregister"), 1);
  });
});

test("deregister takes the agent's not knowing it for done", async () => {
  await withRegistrar(async ({ fake, registrar, lines }) => {
    await registrar.register(registration);
    fake.services.clear();
    await registrar.deregister();
    assert.deepEqual(lines().at(-1), [30, `deregistered ${registration.id} from consul`]);
  });
});

test("deregister tries three times within a bounded time, then gives up with a line", async () => {
  await withRegistrar(async ({ fake, registrar, asked, lines }) => {
    await registrar.register(registration);
    fake.script = () => true;
    const begin = performance.now();
    await registrar.deregister();
    assert.ok(performance.now() - begin < 1000);
    assert.equal(count(asked(), "deregister"), 3);
    assert.deepEqual(lines().at(-1), [40, `cannot deregister ${registration.id}, its check will expire`]);
  });
});

test("an id that comes while the one before is being passed takes its place before that one goes", async () => {
  await withRegistrar(async ({ fake, registrar, asked }) => {
    registrar.setHealth(true, "SERVING");
    fake.script = ({ path }) => {
      if (path !== UPDATE) return false;
      fake.script = () => false;
      void registrar.register({ ...registration, id: "second" });
      return false;
    };
    void registrar.register(registration);
    await untilAsked(asked, "deregister");
    assert.deepEqual(asked(), [
      "register",
      "passing: SERVING",
      "register",
      "PUT /v1/agent/check/update/service%3Asecond",
      "deregister",
    ]);
  });
});

test("deregister succeeds at the second try", async () => {
  await withRegistrar(async ({ fake, registrar, asked }) => {
    await registrar.register(registration);
    let failures = 1;
    fake.script = (_request, response) => {
      if (failures-- <= 0) return false;
      refuse(response, 500, "No cluster leader");
      return true;
    };
    await registrar.deregister();
    assert.equal(count(asked(), "deregister"), 2);
    assert.deepEqual([...fake.services], []);
  });
});

test("deregister ends a registration that hangs, releases who waits for it, and withdraws it all the same", async () => {
  await withRegistrar(
    async ({ fake, registrar, asked }) => {
      fake.script = (request) => request.path === REGISTER;
      const done = registrar.register(registration);
      await untilAsked(asked, "register");
      const begin = performance.now();
      await registrar.deregister();
      await done;
      assert.ok(performance.now() - begin < 1000);
      assert.equal(asked().at(-1), "deregister");
    },
    { ...FAST, timeout: 60_000 },
  );
});

test("a changed registration replaces the old one, and withdraws the id that it had", async () => {
  await withRegistrar(async ({ fake, registrar, asked }) => {
    await registrar.register(registration);
    await registrar.register({ ...registration, tags: ["v2"] });
    assert.deepEqual(
      fake.requests
        .filter((request) => request.path === REGISTER)
        .map((request) => Reflect.get(Object(request.body), "Tags")),
      [["v1"], ["v2"]],
    );
    await registrar.register({ ...registration, id: "other" });
    await untilAsked(asked, "deregister");
    assert.deepEqual([...fake.services], ["other"]);
  });
});

test("a long note is cut", async () => {
  await withRegistrar(async ({ fake, registrar, asked }) => {
    registrar.setHealth(true, "x".repeat(10_000));
    await registrar.register(registration);
    await until(asked, (words) => words.length >= 2);
    assert.equal(String(Reflect.get(Object(fake.requests[1]?.body), "Output")).length, 1024);
  });
});
