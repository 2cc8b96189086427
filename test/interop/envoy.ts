import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../support/ports.ts";
import { startProcess } from "../support/process.ts";
import { requirePart } from "../support/real-parts.ts";
import { startSidecar } from "./ways.ts";

/** The ways from a client to an application with an Envoy on them. */
export interface EnvoyWays {
  /** Envoy alone: what the two others have to look like. */
  readonly alone: string;
  /** client -> Envoy -> sidecar -> application */
  readonly before: string;
  /** client -> sidecar -> Envoy -> application */
  readonly behind: string;
  stop(): Promise<void>;
}

/** Starts one Envoy with a listener before the sidecar and one behind it, and the sidecar. */
export async function startEnvoyWays(address: string): Promise<EnvoyWays> {
  const ANY = "127.0.0.1:0";
  const [beforePort = 0, behindPort = 0] = await freePorts(2);
  const behindEnvoy = `127.0.0.1:${behindPort}`;
  const upstream = (endpoint: string) => ({ discovery: "static", endpoints: [endpoint], listen: ANY });
  const sidecar = await startSidecar({
    identity: { name: "caller" },
    upstreams: { app: upstream(address), envoy: upstream(behindEnvoy) },
  });
  const folder = await mkdtemp(join(tmpdir(), "outrigger-envoy-"));
  const file = join(folder, "envoy.json");
  const static_resources = {
    listeners: [listener("before", beforePort), listener("behind", behindPort)],
    clusters: [cluster("before", sidecar.ready.get("upstreams.app") ?? ""), cluster("behind", address)],
  };
  await writeFile(file, JSON.stringify({ static_resources }));
  const args = ["-c", file, "--concurrency", "1", "--disable-hot-restart", "-l", "info"];
  const envoy = await startProcess(requirePart("envoy"), args);
  await envoy.line(/starting main dispatch loop/, 20_000);
  return {
    alone: behindEnvoy,
    before: `127.0.0.1:${beforePort}`,
    behind: sidecar.ready.get("upstreams.envoy") ?? "",
    stop: async () => {
      await envoy.kill();
      await sidecar.process.stop();
      await rm(folder, { recursive: true });
    },
  };
}

const TYPES = "type.googleapis.com/envoy.extensions";
const socket = (port: number) => ({ socket_address: { address: "127.0.0.1", port_value: port } });

/** Everything that goes in goes to the cluster of the same name, as it is. */
function listener(name: string, port: number): object {
  const route = { match: { prefix: "/" }, route: { cluster: name, timeout: "0s" } };
  const router = {
    name: "router",
    typed_config: { "@type": `${TYPES}.filters.http.router.v3.Router`, suppress_envoy_headers: true },
  };
  const manager = {
    "@type": `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    codec_type: "HTTP2",
    generate_request_id: false,
    server_header_transformation: "PASS_THROUGH",
    common_http_protocol_options: { max_headers_count: 300 },
    route_config: { virtual_hosts: [{ name, domains: ["*"], routes: [route] }] },
    http_filters: [router],
  };
  return {
    name,
    address: socket(port),
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
}

function cluster(name: string, address: string): object {
  const endpoint = { endpoint: { address: socket(Number(address.split(":")[1])) } };
  const options = {
    "@type": `${TYPES}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
    common_http_protocol_options: { max_headers_count: 300 },
  };
  return {
    name,
    type: "STATIC",
    typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
  };
}
