import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KeyPair } from "../../../src/identity/make-certificate.ts";
import { freePort } from "../../support/ports.ts";
import { startProcess } from "../../support/process.ts";
import { requirePart } from "../../support/real-parts.ts";
import type { Scope } from "../../support/with-proxy.ts";

const TYPES = "type.googleapis.com/envoy.extensions";

/** How an Envoy asks the service, in the words of its filter. */
export interface EnvoyFilter {
  readonly failure_mode_allow?: boolean;
  /** Such as `0.2s`. */
  readonly timeout?: string;
}

/** What an Envoy needs to speak mTLS with callers. */
export interface EnvoyTls {
  readonly own: KeyPair;
  /** PEM of the authority whose callers it lets in. */
  readonly authority: string;
}

/** Starts an Envoy before `to` that has the service at `service` decide, as this sidecar does. Gives its address. */
export function envoyWithService(
  scope: Scope,
  to: string,
  service: string,
  { timeout = "5s", ...filter }: EnvoyFilter = {},
): Promise<string> {
  const authorization = {
    "@type": `${TYPES}.filters.http.ext_authz.v3.ExtAuthz`,
    grpc_service: { envoy_grpc: { cluster_name: "service" }, timeout },
    transport_api_version: "V3",
    ...filter,
  };
  const extensions = {
    "@type": `${TYPES}.filters.http.ext_authz.v3.ExtAuthzPerRoute`,
    check_settings: { context_extensions: { place: "here" } },
  };
  const manager = {
    "@type": `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "in",
    codec_type: "HTTP2",
    route_config: {
      virtual_hosts: [
        {
          name: "all",
          domains: ["*"],
          routes: [
            {
              match: { prefix: "/" },
              route: { cluster: "to", timeout: "0s" },
              typed_per_filter_config: { authorization: extensions },
            },
          ],
        },
      ],
    },
    http_filters: [
      { name: "authorization", typed_config: authorization },
      { name: "router", typed_config: { "@type": `${TYPES}.filters.http.router.v3.Router` } },
    ],
  };
  const chain = { filters: [{ name: "http", typed_config: manager }] };
  return runEnvoy(scope, chain, [cluster("to", to, http2), cluster("service", service, http2)]);
}

/** The same for connections of TCP over mTLS, which it closes. */
export function tcpEnvoyWithService(
  scope: Scope,
  to: string,
  service: string,
  { own, authority }: EnvoyTls,
  { timeout = "5s", ...filter }: EnvoyFilter = {},
): Promise<string> {
  const authorization = {
    "@type": `${TYPES}.filters.network.ext_authz.v3.ExtAuthz`,
    stat_prefix: "authorization",
    grpc_service: { envoy_grpc: { cluster_name: "service" }, timeout },
    transport_api_version: "V3",
    include_tls_session: true,
    ...filter,
  };
  const proxy = { "@type": `${TYPES}.filters.network.tcp_proxy.v3.TcpProxy`, stat_prefix: "in", cluster: "to" };
  const tls = {
    "@type": `${TYPES}.transport_sockets.tls.v3.DownstreamTlsContext`,
    require_client_certificate: true,
    common_tls_context: {
      tls_certificates: [
        { certificate_chain: { inline_string: own.certificate }, private_key: { inline_string: own.key } },
      ],
      validation_context: { trusted_ca: { inline_string: authority } },
    },
  };
  const chain = {
    filters: [
      { name: "authorization", typed_config: authorization },
      { name: "proxy", typed_config: proxy },
    ],
    transport_socket: { name: "tls", typed_config: tls },
  };
  return runEnvoy(scope, chain, [cluster("to", to), cluster("service", service, http2)]);
}

/** Starts an Envoy that carries WebSockets, by extended CONNECT from callers and to an upstream of HTTP/2. Gives its address. */
export function webSocketEnvoy(
  scope: Scope,
  to: string,
  { takes = true, upstream }: { readonly takes?: boolean; readonly upstream: "http1" | "http2" },
): Promise<string> {
  const manager = {
    "@type": `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "in",
    codec_type: "HTTP2",
    http2_protocol_options: { allow_connect: takes },
    upgrade_configs: [{ upgrade_type: "websocket" }],
    stream_idle_timeout: "0s",
    route_config: {
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "to", timeout: "0s" } }] },
      ],
    },
    http_filters: [{ name: "router", typed_config: { "@type": `${TYPES}.filters.http.router.v3.Router` } }],
  };
  const chain = { filters: [{ name: "http", typed_config: manager }] };
  return runEnvoy(scope, chain, [cluster("to", to, upstream === "http2" ? http2Options({ allow_connect: true }) : {})]);
}

const http2Options = (options: object) => ({
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: options },
    },
  },
});
const http2 = http2Options({});

function cluster(name: string, at: string, options: object = {}): object {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: addressOf(at) } }] }];
  return { name, type: "STATIC", ...options, load_assignment: { cluster_name: name, endpoints } };
}

function addressOf(text: string): object {
  const [host, number] = text.split(":");
  return { socket_address: { address: host, port_value: Number(number) } };
}

/** Starts one with a listener of this filter chain, ended with the scope. Gives its address. */
async function runEnvoy(scope: Scope, chain: object, clusters: readonly object[]): Promise<string> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "outrigger-envoy-"));
  const listeners = [{ name: "in", address: addressOf(`127.0.0.1:${port}`), filter_chains: [chain] }];
  const file = join(folder, "envoy.json");
  await writeFile(file, JSON.stringify({ static_resources: { listeners, clusters } }));
  const args = ["-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "info"];
  const envoy = await startProcess(requirePart("envoy"), args);
  scope.onEnd(async () => {
    await envoy.kill();
    await rm(folder, { recursive: true, force: true });
  });
  await envoy.line(/starting main dispatch loop/, 20_000);
  return `127.0.0.1:${port}`;
}
