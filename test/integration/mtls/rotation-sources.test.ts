import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientDuplexStream, ServerDuplexStream } from "@grpc/grpc-js";
import { authorityFiles, DEVELOPMENT_DOMAIN, DevelopmentCa } from "../../../src/identity/development-ca.ts";
import { type CertificateFiles, idOf, TestCa } from "../../support/certificates.ts";
import { GrpcServer, grpcClient, testService } from "../../support/grpc-service.ts";
import { skipUnless } from "../../support/real-parts.ts";
import { eventually, inScope, type Scope, type Sidecar } from "../../support/with-proxy.ts";
import { WorkloadApi } from "../../support/workload-api.ts";
import { fingerprint, load, turnOver } from "./load.ts";
import { agent, call, filesOf, folder, found } from "./mesh.ts";

type Side = "up" | "caller";

/** Where both sidecars have their certificates from, and what has it give others. */
interface Source {
  readonly discovery: Readonly<Record<string, unknown>>;
  mtls(side: Side): Readonly<Record<string, unknown>>;
  /** Replaces the certificates of both, in several steps where authorities go with them. `settle` waits until both have done one. */
  rotate(settle: () => Promise<void>): Promise<void>;
  /** New connections can be made at any moment of a rotation, for whoever gives the certificates sees to that. */
  readonly isSeamless: boolean;
}

const sources: Readonly<Record<string, (scope: Scope) => Promise<Source>>> = {
  files: async (scope) => {
    const path = await folder(scope);
    let ca = await TestCa.make();
    const files: Record<Side, CertificateFiles> = {
      up: await filesOf(scope, ca, "up"),
      caller: await filesOf(scope, ca, "caller"),
    };
    const each = (write: (side: Side) => Promise<void>) => Promise.all([write("up"), write("caller")]);
    return {
      discovery: { directory: { path } },
      mtls: (side) => ({ source: { files: files[side].files } }),
      isSeamless: true,
      // As an administrator does it: both authorities everywhere, then the certificates, then the new authority alone.
      rotate: async (settle) => {
        const next = await TestCa.make();
        await each((side) => files[side].write({ ca: ca.pem + next.pem }));
        await settle();
        await each(async (side) => {
          const { certificate, key } = await next.issue(side);
          await files[side].write({ key, cert: certificate });
        });
        await settle();
        await each((side) => files[side].write({ ca: next.pem }));
        await settle();
        ca = next;
      },
    };
  },
  spiffe: async (scope) => {
    const path = await folder(scope);
    let ca = await TestCa.make();
    const apis = { up: await WorkloadApi.start(), caller: await WorkloadApi.start() };
    for (const api of Object.values(apis)) scope.onEnd(() => api.stop());
    const serve = async (signer: TestCa, ...authorities: TestCa[]): Promise<void> => {
      for (const side of ["up", "caller"] as const) {
        const material = await signer.material(side, {}, { authorities: authorities.map(({ pem }) => pem).join("") });
        apis[side].serve([{ id: idOf(side), material }]);
      }
    };
    await serve(ca, ca);
    return {
      discovery: { directory: { path } },
      mtls: (side) => ({ source: { spiffe: { socket: apis[side].socket } } }),
      isSeamless: true,
      // As SPIRE does it: the next authority is in the bundle before it signs anything, and the last one for a while after.
      rotate: async (settle) => {
        const next = await TestCa.make();
        for (const [signer, bundle] of [
          [ca, [ca, next]],
          [next, [ca, next]],
          [next, [next]],
        ] as const) {
          await serve(signer, ...bundle);
          await settle();
        }
        ca = next;
      },
    };
  },
  development: async (scope) => {
    const [path, authority] = [await folder(scope), await folder(scope)];
    return {
      discovery: { directory: { path } },
      mtls: () => ({ source: { development: { path: authority } } }),
      // Each takes a certificate of the new authority when it sees that one, and the other one may see it later.
      isSeamless: false,
      rotate: async (settle) => {
        await rm(authorityFiles(authority).key);
        await DevelopmentCa.init(authority, DEVELOPMENT_DOMAIN, Date.now());
        await settle();
      },
    };
  },
  consul: async (scope) => {
    const consul = await agent(scope);
    let bits = 256;
    return {
      discovery: { consul: { address: consul.address } },
      mtls: () => ({ source: { consul: {} } }),
      isSeamless: true,
      // Agents spread the new certificates over half a minute.
      rotate: async (settle) => {
        bits = 640 - bits;
        const Config = { PrivateKeyType: "ec", PrivateKeyBits: bits };
        const { status } = await consul.request("PUT", "/v1/connect/ca/configuration", { Provider: "consul", Config });
        assert.equal(status, 200);
        await settle();
      },
    };
  },
};

/** A stream that stays open and gives back what it is told. */
class Held {
  private readonly stream: ClientDuplexStream<Buffer, Buffer>;
  private end: string | undefined = undefined;
  private heard: (message: string) => void = () => {};

  constructor(scope: Scope, address: string) {
    const client = grpcClient(address, "up");
    scope.onEnd(() => client.close());
    const { path, requestSerialize, responseDeserialize } = testService.bidi;
    this.stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    const over = (how: string): void => {
      this.end ??= how;
      this.heard(how);
    };
    this.stream.on("data", (message: Buffer) => this.heard(message.toString()));
    this.stream.on("error", (error) => over(error.message));
    this.stream.on("end", () => over("ended"));
  }

  async echo(message: string): Promise<void> {
    const answer = await new Promise<string>((resolve) => {
      this.heard = resolve;
      if (this.end === undefined) this.stream.write(Buffer.from(message));
      else resolve(this.end);
    });
    assert.equal(answer, message);
  }

  async close(): Promise<void> {
    const ended = new Promise<string>((resolve) => {
      this.heard = resolve;
    });
    this.stream.end();
    assert.equal(await ended, "ended");
  }
}

async function application(scope: Scope): Promise<string> {
  const server = await GrpcServer.start({
    unary: (made: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, made.request),
    bidi: (stream: ServerDuplexStream<Buffer, Buffer>) => {
      stream.on("data", (message: Buffer) => stream.write(message));
      stream.on("end", () => stream.end());
    },
  });
  scope.onEnd(() => server.stop());
  return server.address;
}

/** The certificate of the caller, as the newest connection of the application's sidecar has seen it. */
function shownBy(inbound: Sidecar): string | undefined {
  const newest = [...(inbound.runtime.listeners.inbound?.acceptor.connections ?? [])].at(-1);
  return /Hash=([0-9a-f]{64})/.exec(newest?.caller?.certificate ?? "")?.[1];
}

for (const [kind, make] of Object.entries(sources))
  test(
    `certificates and authorities of ${kind} are replaced under an open stream and calls: neither notices, new connections have the new ones`,
    kind === "consul" ? skipUnless("consul") : {},
    async () => {
      await inScope(async (scope) => {
        const source = await make(scope);
        const { discovery } = source;
        const service = { name: "up", address: await application(scope) };
        const mode = { mode: "strict" };
        const inbound = await scope.sidecar({ discovery, service, mtls: { ...mode, ...source.mtls("up") } });
        const outbound = await scope.sidecar({
          discovery,
          identity: { name: "caller" },
          upstreams: { up: {} },
          mtls: { ...mode, ...source.mtls("caller") },
        });
        await found(outbound);
        const both = [inbound, outbound];
        const stream = new Held(scope, outbound.outbound);
        await stream.echo("before");
        const calls = load(scope, { call: () => call(outbound.outbound) });
        for (let round = 0; round < (kind === "consul" ? 1 : 3); round++) {
          let before = both.map(({ runtime }) => runtime.mtls.credentials);
          const prints = both.map(fingerprint);
          await source.rotate(async () => {
            await eventually(
              async () => {
                if (source.isSeamless) turnOver(inbound);
                // Each turn makes a connection: no more than mtls.handshakes.rate of one address.
                await sleep(30);
                await stream.echo(`round ${round}`);
                return both.every(({ runtime }, at) => runtime.mtls.credentials !== before[at]);
              },
              () => "other credentials",
              60_000,
            );
            before = both.map(({ runtime }) => runtime.mtls.credentials);
          });
          await eventually(
            () => both.every((sidecar, at) => fingerprint(sidecar) !== prints[at]),
            () => "new certificates",
            60_000,
          );
          turnOver(inbound);
          await calls.more(8);
          await eventually(
            () => shownBy(inbound) === fingerprint(outbound),
            () => "a connection with the new certificate",
            20_000,
          );
          await stream.echo("after");
        }
        assert.deepEqual(await calls.stop(), []);
        await stream.close();
      });
    },
  );
