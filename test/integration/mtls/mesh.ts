import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Metadata, ServiceError } from "@grpc/grpc-js";
import { Metadata as Fields } from "@grpc/grpc-js";
import type { CertificateRequest } from "../../../src/identity/make-certificate.ts";
import { type CertificateFiles, certificateFiles, TestCa } from "../../support/certificates.ts";
import { type Consul, type ConsulOptions, startConsul } from "../../support/consul.ts";
import { GrpcServer, grpcClient, testService } from "../../support/grpc-service.ts";
import { eventually, type Scope, type Sidecar, type SidecarConfig } from "../../support/with-proxy.ts";

/** What became of a call. */
export interface Made {
  readonly error: ServiceError | undefined;
  /** What the application was told beside the message. */
  readonly metadata: Metadata | undefined;
  readonly reason: string;
}

/** An application `up` that answers with what it got, and tells the metadata. */
export async function echo(scope: Scope): Promise<{ readonly address: string; readonly seen: Metadata[] }> {
  const seen: Metadata[] = [];
  const server = await GrpcServer.start({
    unary: (call: { metadata: Metadata; request: Buffer }, done: (error: null, answer: Buffer) => void) => {
      seen.push(call.metadata);
      done(null, call.request);
    },
  });
  scope.onEnd(() => server.stop());
  return { address: server.address, seen };
}

/** Makes a call through an address, as a plain client. */
export async function call(
  address: string,
  fields: Readonly<Record<string, string>> = {},
  authority = "up",
): Promise<Made> {
  const client = grpcClient(address, authority);
  const metadata = new Fields();
  for (const [name, value] of Object.entries(fields)) metadata.set(name, value);
  const { unary } = testService;
  try {
    return await new Promise((resolve) => {
      const deadline = Date.now() + 10_000;
      const { path, requestSerialize, responseDeserialize } = unary;
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        Buffer.from("hello"),
        metadata,
        { deadline },
        (error) => {
          const reason = error?.metadata.get("outrigger-reason")[0]?.toString() ?? "";
          resolve({ error: error ?? undefined, metadata: error?.metadata, reason });
        },
      );
    });
  } finally {
    client.close();
  }
}

/** The files of a service's certificate, removed at the end. */
export async function filesOf(
  scope: Scope,
  ca: TestCa,
  service: string,
  more: Partial<CertificateRequest> = {},
): Promise<CertificateFiles> {
  const made = await certificateFiles(ca, service, more);
  scope.onEnd(() => made.remove());
  return made;
}

export async function folder(scope: Scope): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "outrigger-test-"));
  scope.onEnd(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** An application behind its sidecar, and the sidecar of a caller, who find each other in a folder. */
export interface Mesh {
  readonly ca: TestCa;
  readonly seen: Metadata[];
  readonly inbound: Sidecar;
  readonly outbound: Sidecar;
  readonly certificates: { readonly up: CertificateFiles; readonly caller: CertificateFiles };
  /** Makes a call through both. */
  call(fields?: Readonly<Record<string, string>>): Promise<Made>;
}

export interface MeshOptions {
  readonly ca?: TestCa;
  readonly inbound?: "disabled" | "permissive" | "strict";
  readonly outbound?: "disabled" | "permissive" | "strict";
  /** A list of revoked certificates, for both. */
  readonly crl?: string;
  /** Another one for the caller's sidecar. */
  readonly callerCrl?: string;
  /** Files of other trust domains' authorities, for both. */
  readonly federated?: Readonly<Record<string, string>>;
  /** More of `mtls` of the application's sidecar. */
  readonly inboundMtls?: Readonly<Record<string, unknown>>;
  /** `authorization` of the application's sidecar. */
  readonly authorization?: Readonly<Record<string, unknown>>;
  /** Where the application is, unless it is one that answers. */
  readonly application?: string;
  /** More of `mtls` of both. */
  readonly mtls?: Readonly<Record<string, unknown>>;
  /** More of the upstream. */
  readonly upstream?: Readonly<Record<string, unknown>>;
  readonly certificates?: { readonly up?: Partial<CertificateRequest>; readonly caller?: Partial<CertificateRequest> };
}

export async function mesh(scope: Scope, options: MeshOptions = {}): Promise<Mesh> {
  const ca = options.ca ?? (await TestCa.make());
  const application = await echo(scope);
  const path = await folder(scope);
  const up = await filesOf(scope, ca, "up", options.certificates?.up);
  const caller = await filesOf(scope, ca, "caller", options.certificates?.caller);
  const { crl, federated = {} } = options;
  const mtls = (mode: string | undefined, { files }: CertificateFiles, more = {}, revoked = crl) => {
    const said = mode ?? "strict";
    const lists = { ...(revoked === undefined ? {} : { crl: revoked }), federated };
    return said === "disabled"
      ? {}
      : {
          mtls: {
            mode: said,
            source: { files: { ...files, ...lists } },
            ...options.mtls,
            ...more,
          },
        };
  };
  const common = { discovery: { directory: { path } } } satisfies SidecarConfig;
  const inbound = await scope.sidecar({
    ...common,
    service: { name: "up", address: options.application ?? application.address },
    ...(options.authorization === undefined ? {} : { authorization: options.authorization }),
    ...mtls(options.inbound, up, options.inboundMtls),
  });
  const outbound = await scope.sidecar({
    ...common,
    identity: { name: "caller" },
    upstreams: { up: options.upstream ?? {} },
    ...mtls(options.outbound, caller, {}, options.callerCrl ?? crl),
  });
  await found(outbound);
  return {
    ca,
    seen: application.seen,
    inbound,
    outbound,
    certificates: { up, caller },
    call: (fields) => call(outbound.outbound, fields),
  };
}

/** Waits until a sidecar knows of an instance of `up`. */
export async function found(sidecar: Sidecar): Promise<void> {
  const [cluster] = sidecar.runtime.upstreams.clusters();
  await eventually(
    () => (cluster?.size ?? 0) > 0,
    () => "an instance of up",
  );
}

/** An agent that ends with the scope. */
export async function agent(scope: Scope, options: ConsulOptions = {}): Promise<Consul> {
  const consul = await startConsul(options);
  scope.onEnd(async () => void (await consul.stop().catch(() => undefined)));
  return consul;
}

/** Writes the intentions for `up`, in Consul's words. */
export async function intend(
  consul: Consul,
  sources: readonly object[],
  { protocol = "grpc", ...more }: { readonly protocol?: string; readonly [key: string]: unknown } = {},
): Promise<void> {
  for (const entry of [
    { Kind: "service-defaults", Name: "up", Protocol: protocol },
    { Kind: "service-intentions", Name: "up", Sources: sources, ...more },
  ]) {
    const { status, body } = await consul.request("PUT", "/v1/config", entry);
    assert.equal(status, 200, String(body));
  }
}
