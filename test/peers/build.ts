import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { runProcess } from "../support/process.ts";

/** The Go programs of this folder, built. */
export interface Peers {
  /** grpc-go, for what its own interop client and server leave out. */
  readonly grpcpeer: string;
  /** A client and a server of HTTP/2 on Go's x/net. */
  readonly h2peer: string;
  /** A server of Envoy's rate limit protocols, on Envoy's messages. */
  readonly ratepeer: string;
  /** The user service in Go, and a caller of it. */
  readonly userservice: string;
}

const SOURCES = import.meta.dirname;
const BUILT = join(SOURCES, "..", "..", "node_modules", ".cache", "outrigger-peers");

let building: Promise<Peers> | undefined;

/** Builds the Go programs where a source is newer than what is there. */
export function buildPeers(): Promise<Peers> {
  building ??= build();
  return building;
}

async function build(): Promise<Peers> {
  const peers: Peers = {
    grpcpeer: join(BUILT, "grpcpeer"),
    h2peer: join(BUILT, "h2peer"),
    ratepeer: join(BUILT, "ratepeer"),
    userservice: join(BUILT, "userservice"),
  };
  const names = readdirSync(SOURCES, { recursive: true, encoding: "utf8" });
  const newest = Math.max(...names.map((name) => statSync(join(SOURCES, name)).mtimeMs));
  if (Object.values(peers).every((program) => existsSync(program) && statSync(program).mtimeMs > newest)) return peers;

  mkdirSync(BUILT, { recursive: true });
  // Into a folder of its own first: another test file may be running, or building, what is there.
  const fresh = join(BUILT, `new-${process.pid}`);
  mkdirSync(fresh, { recursive: true });
  const script = `go build -trimpath -o "$1/" ./grpcpeer ./h2peer ./ratepeer ./userservice && mv -f "$1"/* "$2"/ && rmdir "$1"`;
  const built = await runProcess("sh", ["-c", script, "sh", fresh, BUILT], { cwd: SOURCES, timeout: 300_000 });
  if (built.code !== 0) throw new Error(`go build in test/peers failed: ${built.stderr}`);
  return peers;
}
