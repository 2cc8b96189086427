import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

/** Starts an Envoy before `to` that has the service at `service` decide, as this sidecar does. Gives its address. */
export async function envoyWithService(
  scope: Scope,
  to: string,
  service: string,
  { timeout = "5s", ...filter }: EnvoyFilter = {},
): Promise<string> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "outrigger-envoy-"));
  const address = (text: string): object => {
    const [host, number] = text.split(":");
    return { socket_address: { address: host, port_value: Number(number) } };
  };
  const cluster = (name: string, at: string): object => ({
    name,
    type: "STATIC",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(at) } }] }],
    },
  });
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
  const static_resources = {
    listeners: [
      {
        name: "in",
        address: address(`127.0.0.1:${port}`),
        filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
      },
    ],
    clusters: [cluster("to", to), cluster("service", service)],
  };
  const file = join(folder, "envoy.json");
  await writeFile(file, JSON.stringify({ static_resources }));
  const args = ["-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "info"];
  const envoy = await startProcess(requirePart("envoy"), args);
  scope.onEnd(async () => {
    await envoy.kill();
    await rm(folder, { recursive: true, force: true });
  });
  await envoy.line(/starting main dispatch loop/, 20_000);
  return `127.0.0.1:${port}`;
}
