import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KeyPair } from "../../../src/identity/make-certificate.ts";
import { freePort } from "../../support/ports.ts";
import { startProcess } from "../../support/process.ts";
import { requirePart } from "../../support/real-parts.ts";
import type { Scope } from "../../support/with-proxy.ts";

const TYPES = "type.googleapis.com/envoy.extensions";

export interface EnvoyTls {
  readonly own: KeyPair;
  /** PEM of the authority that it believes. */
  readonly authority: string;
  /** The SPIFFE id that the other end has to have. */
  readonly peer: string;
  /** What it reads and speaks, on both sides; default: http2. */
  readonly protocol?: "http2" | "http1" | "tcp";
  /** What it says of that by ALPN; default: h2. */
  readonly alpn?: readonly string[];
}

/** An Envoy at work. */
export interface RunningEnvoy {
  readonly address: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts an Envoy between plaintext and mTLS for a test: `side` says which side of it speaks TLS. Gives its address. */
export async function startEnvoy(
  scope: Scope,
  side: "downstream" | "upstream",
  to: string,
  tls: EnvoyTls,
): Promise<string> {
  const envoy = await runEnvoy(side, to, tls);
  scope.onEnd(() => envoy.stop());
  return envoy.address;
}

/** The same, to be stopped by who starts it. */
export async function runEnvoy(side: "downstream" | "upstream", to: string, tls: EnvoyTls): Promise<RunningEnvoy> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "outrigger-envoy-"));
  const secured = (is: boolean, context: string, extra: object) =>
    is
      ? {
          transport_socket: {
            name: "tls",
            typed_config: { "@type": `${TYPES}.transport_sockets.tls.v3.${context}`, ...extra },
          },
        }
      : {};
  const { protocol = "http2", alpn = ["h2"] } = tls;
  const common = {
    alpn_protocols: alpn,
    tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
    tls_certificates: [
      { certificate_chain: { inline_string: tls.own.certificate }, private_key: { inline_string: tls.own.key } },
    ],
    validation_context: {
      trusted_ca: { inline_string: tls.authority },
      match_typed_subject_alt_names: [{ san_type: "URI", matcher: { exact: tls.peer } }],
    },
  };
  const manager = {
    "@type": `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "in",
    codec_type: protocol.toUpperCase(),
    forward_client_cert_details: "SANITIZE_SET",
    set_current_client_cert_details: { subject: true, uri: true },
    route_config: {
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "to", timeout: "0s" } }] },
      ],
    },
    http_filters: [{ name: "router", typed_config: { "@type": `${TYPES}.filters.http.router.v3.Router` } }],
  };
  const options = {
    "@type": `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { [protocol === "http1" ? "http_protocol_options" : "http2_protocol_options"]: {} },
  };
  const relay = { "@type": `${TYPES}.filters.network.tcp_proxy.v3.TcpProxy`, stat_prefix: "in", cluster: "to" };
  const address = (text: string): object => {
    const [host, number] = text.split(":");
    return { socket_address: { address: host, port_value: Number(number) } };
  };
  const static_resources = {
    listeners: [
      {
        name: "in",
        address: address(`127.0.0.1:${port}`),
        filter_chains: [
          {
            filters: [{ name: "first", typed_config: protocol === "tcp" ? relay : manager }],
            ...secured(side === "downstream", "DownstreamTlsContext", {
              common_tls_context: common,
              require_client_certificate: true,
            }),
          },
        ],
      },
    ],
    clusters: [
      {
        name: "to",
        type: "STATIC",
        ...(protocol === "tcp"
          ? {}
          : {
              typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options },
            }),
        load_assignment: {
          cluster_name: "to",
          endpoints: [{ lb_endpoints: [{ endpoint: { address: address(to) } }] }],
        },
        ...secured(side === "upstream", "UpstreamTlsContext", { common_tls_context: common }),
      },
    ],
  };
  const file = join(folder, "envoy.json");
  await writeFile(file, JSON.stringify({ static_resources }));
  const args = ["-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "info"];
  const envoy = await startProcess(requirePart("envoy"), args);
  await envoy.line(/starting main dispatch loop/, 20_000);
  return {
    address: `127.0.0.1:${port}`,
    pid: envoy.pid,
    stop: async () => {
      await envoy.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
