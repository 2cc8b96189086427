import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { buildPeers } from "../peers/build.ts";
import { freePort } from "../support/ports.ts";
import { runProcess, startProcess } from "../support/process.ts";
import { requirePart } from "../support/real-parts.ts";
import { faults } from "./expected.ts";
import { file_grpc_testing_messages } from "./gen/grpc/testing/messages_pb.ts";
import { type CaseResult, type InteropClient, type InteropServer, LIMIT, runJsonLines, started } from "./peer.ts";

const BASIC = [
  "empty_unary",
  "large_unary",
  "client_streaming",
  "server_streaming",
  "ping_pong",
  "empty_stream",
  "custom_metadata",
  "status_code_and_message",
  "special_status_message",
  "unimplemented_method",
  "unimplemented_service",
  "cancel_after_begin",
  "cancel_after_first_response",
  "timeout_on_sleeping_server",
];
const CLIENT_COMPRESSED = ["client_compressed_unary", "client_compressed_streaming"];
const SERVER_COMPRESSED = ["server_compressed_unary", "server_compressed_streaming"];
const REPORTS = ["orca_per_rpc", "orca_oob"];
const SOAK = ["rpc_soak", "channel_soak"];

/** Has grpc-go's client read the load reports that come with answers. */
const ORCA = JSON.stringify({ loadBalancingConfig: [{ test_backend_metrics_load_balancer: {} }] });

const lacks = (names: readonly string[], why: string) => Object.fromEntries(names.map((name) => [name, why]));
const noGzip = lacks([...CLIENT_COMPRESSED, ...SERVER_COMPRESSED], "grpc-go's interop programs know no gzip");

export const grpcGoServer: InteropServer = {
  name: "grpc-go",
  parts: ["grpc-interop-server"],
  lacks: noGzip,
  start: async () => {
    const port = await freePort();
    const env = { GRPC_GO_LOG_SEVERITY_LEVEL: "info" };
    const server = await startProcess(requirePart("grpc-interop-server"), ["-port", String(port)], { env });
    await server.line(/interop server listening/, 20_000);
    return { address: `127.0.0.1:${port}`, stop: () => server.kill() };
  },
};

export const grpcGoClient: InteropClient = {
  name: "grpc-go",
  parts: ["grpc-interop-client"],
  cases: [...BASIC, ...SOAK, ...REPORTS],
  run: async (address, cases) => {
    const [host = "", port = ""] = address.split(":");
    const results = new Map<string, CaseResult>();
    for (const name of cases) {
      const args = ["-server_host", host, "-server_port", port, "-test_case", name];
      if (name.endsWith("_soak")) args.push("-soak_iterations", "50", "-soak_overall_timeout_seconds", "60");
      if (name.startsWith("orca_")) args.push("-service_config_json", ORCA);
      const { code, stdout, stderr } = await runProcess(requirePart("grpc-interop-client"), args, { timeout: LIMIT });
      // Its own checks are strict; it says nothing that could be compared but whether it is content.
      const fault = code === 0 ? undefined : `exit ${code}: ${(stderr + stdout).trim().slice(-500)}`;
      results.set(name, { seen: code === 0 ? "passed" : "failed", fault });
    }
    return results;
  },
};

/** grpc-go again, with the cases that its own programs leave out. */
export const grpcGoMoreServer: InteropServer = {
  name: "grpc-go (more)",
  parts: ["go"],
  lacks: {},
  start: async () => {
    const { grpcpeer } = await buildPeers();
    return started(await startProcess(grpcpeer, ["-listen", "127.0.0.1:0"]), /^listening (\S+)/);
  },
};

export const grpcGoMoreClient: InteropClient = {
  name: "grpc-go (more)",
  parts: ["go"],
  cases: [...CLIENT_COMPRESSED, ...SERVER_COMPRESSED, "concurrent_large_unary"],
  run: async (address, cases) => {
    const { grpcpeer } = await buildPeers();
    const { stdout, stderr } = await runProcess(grpcpeer, ["-target", address, ...cases], { timeout: LIMIT });
    const lines = stdout.split("\n");
    return new Map(
      cases.map((name) => {
        const line = lines.find((text) => text.startsWith(`${name} passed: `));
        return [name, { seen: line ?? "failed", fault: line === undefined ? stderr.trim().slice(-500) : undefined }];
      }),
    );
  },
};

export const grpcJsServer: InteropServer = {
  name: "grpc-js",
  parts: [],
  lacks: {
    ...lacks(SERVER_COMPRESSED, "grpc-js's server does not compress"),
    ...lacks(REPORTS, "grpc-js sends no report"),
  },
  start: async () => {
    const server = await startProcess(process.execPath, [join(import.meta.dirname, "grpc-js-server.ts")]);
    return started(server, /^interop ready address=(\S+)/);
  },
};

export const grpcJsClient: InteropClient = {
  name: "grpc-js",
  parts: [],
  cases: [...BASIC, ...CLIENT_COMPRESSED, ...SERVER_COMPRESSED, ...SOAK, "concurrent_large_unary"],
  run: (address, cases) =>
    runJsonLines(process.execPath, [join(import.meta.dirname, "grpc-js-client.ts"), address, ...cases], cases, faults),
};

const PYTHON_PEER = join(import.meta.dirname, "grpcio_peer.py");

export const grpcioServer: InteropServer = {
  name: "grpcio",
  parts: ["python-grpcio"],
  lacks: lacks(REPORTS, "grpcio sends no report"),
  start: async () =>
    started(
      await startProcess(requirePart("python-grpcio"), [PYTHON_PEER, "serve", descriptor()]),
      /^interop ready address=(\S+)/,
    ),
};

export const grpcioClient: InteropClient = {
  name: "grpcio",
  parts: ["python-grpcio"],
  cases: [...BASIC, ...CLIENT_COMPRESSED, ...SERVER_COMPRESSED],
  run: async (address, cases) =>
    runJsonLines(requirePart("python-grpcio"), [PYTHON_PEER, "call", descriptor(), address, ...cases], cases, faults),
};

let described: string | undefined;

/** A file that tells Python of the messages; it is gone when this process is. */
function descriptor(): string {
  if (described !== undefined) return described;
  const folder = mkdtempSync(join(tmpdir(), "outrigger-interop-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  described = join(folder, "messages");
  writeFileSync(described, toBinary(FileDescriptorProtoSchema, file_grpc_testing_messages.proto));
  return described;
}
