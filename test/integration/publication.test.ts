import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { offered } from "../runtime/offered.ts";
import { type Consul, startConsul } from "../support/consul.ts";
import { type CountingApp, Tally } from "../support/counting.ts";
import { skipUnless } from "../support/real-parts.ts";
import { eventually, inScope, type Scope, type Sidecar, type SidecarConfig } from "../support/with-proxy.ts";

const real = skipUnless("consul");

async function consulIn(scope: Scope): Promise<Consul> {
  const consul = await startConsul();
  scope.onEnd(async () => void (await consul.stop()));
  return consul;
}

/** Applications that say that they serve. */
async function applications(scope: Scope, count: number): Promise<CountingApp[]> {
  const folder = await mkdtemp(join(tmpdir(), "outrigger-publication-"));
  scope.onEnd(() => rm(folder, { recursive: true, force: true }));
  const tally = new Tally(folder);
  const apps = await Promise.all(Array.from({ length: count }, (_, at) => tally.start(`app-${at}`)));
  scope.onEnd(async () => void (await Promise.all(apps.map((app) => app.process.kill()))));
  return apps;
}

interface Instance {
  readonly Service: { readonly ID: string; readonly Tags: readonly string[] };
}

/** The passing instances of `up` in an agent's catalog. */
async function passing(consul: Consul): Promise<Instance[]> {
  const { body } = await consul.request("GET", "/v1/health/service/up?passing=1");
  return Array.isArray(body) ? body : [];
}

/** Looks at agents all the while; there has to be an instance in one of them at any moment. */
class Vigil {
  private readonly watching: Promise<void>;
  private over = false;
  looks = 0;
  gaps = 0;

  constructor(scope: Scope, ...agents: readonly Consul[]) {
    scope.onEnd(() => {
      this.over = true;
    });
    this.watching = (async () => {
      while (!this.over) {
        // The one that is given up is asked first: what has gone there has to be in the other one by then.
        let found = 0;
        for (const agent of agents) found += (await passing(agent)).length;
        if (found === 0) this.gaps++;
        this.looks++;
      }
    })();
  }

  async end(): Promise<void> {
    this.over = true;
    await this.watching;
    assert.ok(this.looks > 0, `${this.looks} looks`);
    assert.equal(this.gaps, 0, `of ${this.looks} looks so many found no instance`);
  }
}

async function goOver(sidecar: Sidecar, config: SidecarConfig): Promise<void> {
  assert.equal((await sidecar.runtime.apply(offered(sidecar, config))).kind, "applied");
}

async function become(consul: Consul, condition: (instances: readonly Instance[]) => boolean): Promise<void> {
  let seen: readonly Instance[] = [];
  await eventually(
    async () => {
      seen = await passing(consul);
      return condition(seen);
    },
    () => JSON.stringify(seen),
    20_000,
  );
}

test(
  "tags, id and the application's address change by reload, and the service is in the catalog all the while",
  real,
  () =>
    inScope(async (scope) => {
      const consul = await consulIn(scope);
      const [one, two] = await applications(scope, 2);
      const discovery = { consul: { address: consul.address } };
      const service = { name: "up", address: one?.address, health: "grpc", id: "first" };
      const sidecar = await scope.sidecar({ service, discovery });
      await become(consul, (instances) => instances.length === 1);
      const vigil = new Vigil(scope, consul);
      await goOver(sidecar, { service: { ...service, tags: ["v2"] }, discovery });
      await become(consul, ([instance]) => instance?.Service.Tags[0] === "v2");
      await goOver(sidecar, { service: { ...service, id: "second" }, discovery });
      await become(consul, (instances) => instances.length === 1 && instances[0]?.Service.ID === "second");
      await goOver(sidecar, { service: { ...service, id: "second", address: two?.address }, discovery });
      await eventually(
        () => sidecar.runtime.application?.health.state.current.serving === true,
        () => "the other application serves",
      );
      await vigil.end();
      await one?.process.kill();
      await become(consul, (instances) => instances.length === 1);
    }),
);

test("the service moves to another agent by reload: it leaves the old one when it passes at the new one", real, () =>
  inScope(async (scope) => {
    const [old, next] = [await consulIn(scope), await consulIn(scope)];
    const [app] = await applications(scope, 1);
    const service = { name: "up", address: app?.address, health: "grpc", id: "one" };
    const sidecar = await scope.sidecar({ service, discovery: { consul: { address: old.address } } });
    await become(old, (instances) => instances.length === 1);
    for (const [from, to] of [
      [old, next],
      [next, old],
      [old, next],
    ] as const) {
      const vigil = new Vigil(scope, from, to);
      await goOver(sidecar, { service, discovery: { consul: { address: to.address } } });
      await become(to, (instances) => instances.length === 1);
      await become(from, (instances) => instances.length === 0);
      await vigil.end();
    }
  }),
);
