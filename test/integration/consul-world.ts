import assert from "node:assert/strict";
import { type Consul, type ConsulOptions, startConsul } from "../support/consul.ts";
import type { PlainField } from "../support/hpack-peer.ts";
import { callHead, connectPeer } from "../support/raw-call.ts";
import { fieldOf, type RawAnswer, type RawPeer } from "../support/raw-peer.ts";
import { inTrailers, ScriptedServer } from "../support/scripted-server.ts";
import { eventually, type Scope, type Sidecar, type SidecarConfig } from "../support/with-proxy.ts";

/** Instances in a real Consul, its config entries, and a sidecar that obeys them. */
export class ConsulWorld {
  readonly consul: Consul;
  readonly servers = new Map<string, ScriptedServer>();
  private readonly scope: Scope;

  private constructor(scope: Scope, consul: Consul) {
    this.scope = scope;
    this.consul = consul;
  }

  static async start(scope: Scope, options: ConsulOptions = {}): Promise<ConsulWorld> {
    const consul = await startConsul(options);
    scope.onEnd(async () => void (await consul.stop()));
    return new ConsulWorld(scope, consul);
  }

  /** An instance that answers with its name, registered; `service.version` is an instance of that version. */
  async instance(name: string, ...script: Parameters<typeof inTrailers>[]): Promise<ScriptedServer> {
    const acts = script.length === 0 ? [inTrailers(0, [name])] : script.map((answer) => inTrailers(...answer));
    const server = await ScriptedServer.start(this.scope, ...acts);
    this.servers.set(name, server);
    await this.register(name);
    return server;
  }

  async register(name: string, consul = this.consul): Promise<void> {
    const [service = "", version = "none"] = name.split(".");
    const port = Number(this.servers.get(name)?.address.split(":")[1]);
    const body = { ID: name, Name: service, Address: "127.0.0.1", Port: port, Meta: { version } };
    assert.equal((await consul.request("PUT", "/v1/agent/service/register", body)).status, 200);
  }

  async deregister(name: string): Promise<void> {
    assert.equal((await this.consul.request("PUT", `/v1/agent/service/deregister/${name}`)).status, 200);
  }

  /** Writes config entries, in this order. */
  async entries(...entries: object[]): Promise<void> {
    for (const entry of entries) {
      const { status, body } = await this.consul.request("PUT", "/v1/config", entry);
      assert.equal(status, 200, JSON.stringify(body));
    }
  }

  async remove(kind: string, name: string): Promise<void> {
    assert.equal((await this.consul.request("DELETE", `/v1/config/${kind}/${name}`)).status, 200);
  }

  /** A caller of `web`, once its sidecar is ready. */
  async caller(upstreams: Readonly<Record<string, unknown>>, more: SidecarConfig = {}): Promise<ConsulCaller> {
    const discovery = { consul: { address: this.consul.address } };
    const sidecar = await this.scope.sidecar({ discovery, upstreams, ...more });
    await sidecar.runtime.whenReady();
    return new ConsulCaller(sidecar, await connectPeer(this.scope, sidecar.outbound));
  }
}

export class ConsulCaller {
  readonly sidecar: Sidecar;
  private readonly peer: RawPeer;

  constructor(sidecar: Sidecar, peer: RawPeer) {
    this.sidecar = sidecar;
    this.peer = peer;
  }

  async answer(path = "/test.v1.Test/Call", ...metadata: PlainField[]): Promise<RawAnswer> {
    const head = callHead("web", ...metadata).map(([name, value]) => [name, name === ":path" ? path : value] as const);
    return await this.peer.answer(this.peer.request(head, true));
  }

  /** The name of the instance that answers, or the reason why none does. */
  async land(path?: string, ...metadata: PlainField[]): Promise<string> {
    const answer = await this.answer(path, ...metadata);
    return fieldOf(answer.head, "outrigger-reason") ?? answer.data.toString("latin1").slice(5);
  }

  /** How many of so many calls land where. */
  async spread(count: number): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (let n = 0; n < count; n++) {
      const where = await this.land();
      found.set(where, (found.get(where) ?? 0) + 1);
    }
    return found;
  }

  /** Waits until calls land somewhere; a few in a row have to. */
  async lands(where: string, path?: string): Promise<void> {
    let last = "";
    await eventually(
      async () => {
        for (let n = 0; n < 3; n++) {
          last = await this.land(path);
          if (last !== where) return false;
        }
        return true;
      },
      () => `calls to land at ${where}, and not at ${last}`,
      15_000,
    );
  }
}

/** Config entries. */
export const grpcDefaults = (...names: string[]): object[] =>
  names.map((Name) => ({ Kind: "service-defaults", Name, Protocol: "grpc" }));

export const resolver = (Name: string, more: object): object => ({ Kind: "service-resolver", Name, ...more });

export const versions = {
  Subsets: {
    v1: { Filter: "Service.Meta.version == v1" },
    v2: { Filter: "Service.Meta.version == v2" },
  },
};

export const splitter = (Name: string, ...Splits: object[]): object => ({ Kind: "service-splitter", Name, Splits });

export const router = (Name: string, ...routes: (readonly [http: object, destination: object])[]): object => ({
  Kind: "service-router",
  Name,
  Routes: routes.map(([HTTP, Destination]) => ({ Match: { HTTP }, Destination })),
});
