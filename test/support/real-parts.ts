import { accessSync, constants, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";

/** The environment that decides: OUTRIGGER_PARTS, HOME, PATH, REQUIRE_REAL. */
type Environment = Readonly<Record<string, string | undefined>>;

/** Programs that `.ci/real-parts` installs under the name of another part. */
const PART_OF: Readonly<Record<string, string>> = {
  h2load: "nghttp2",
  nghttp: "nghttp2",
  nghttpx: "nghttp2",
  "grpc-interop-client": "grpc_interop",
  "grpc-interop-server": "grpc_interop",
  "python-grpcio": "grpcio",
  "redis-server": "redis",
  "redis-cli": "redis",
  initdb: "postgres",
  "iptables-nft": "iptables",
  "iptables-legacy": "iptables",
  promtool: "prometheus",
  "kube-apiserver": "kubernetes",
  kubectl: "kubernetes",
  "kubelet-prober": "kubelet_prober",
  "container-files": "container_files",
};

/** Programs that `.ci/real-parts` takes for granted, and where they are had. */
const HAD_AT: Readonly<Record<string, string>> = { go: "https://go.dev/doc/install" };

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * The path of a real component's program ("consul", "envoy", "h2load", ...), or undefined where it is not installed.
 * It is looked for in $OUTRIGGER_PARTS/bin, or ~/.cache/outrigger-parts/bin where that is not set, then in PATH.
 */
export function realPart(name: string, env: Environment = process.env): string | undefined {
  const cache = env.OUTRIGGER_PARTS || join(env.HOME || homedir(), ".cache", "outrigger-parts");
  const folders = [join(cache, "bin"), ...(env.PATH ?? "").split(delimiter)];
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find(isProgram);
}

/** `realPart`, for code that runs only where the part is there; throws with the way to install it otherwise. */
export function requirePart(name: string, env: Environment = process.env): string {
  const path = realPart(name, env);
  if (path === undefined) throw new Error(missing([name]));
  return path;
}

/**
 * The options of a test that needs real components: `test("...", skipUnless("consul"), async () => ...)`.
 * An absent one skips the test with its name; where REQUIRE_REAL=1 (CI), it throws instead.
 */
export function skipUnless(...names: string[]): { skip: string | false } {
  return skipUnlessIn(process.env, names);
}

/** `skipUnless` in a given environment. */
export function skipUnlessIn(env: Environment, names: readonly string[]): { skip: string | false } {
  const absent = names.filter((name) => realPart(name, env) === undefined);
  if (absent.length === 0) return { skip: false };
  if (env.REQUIRE_REAL === "1") throw new Error(`REQUIRE_REAL=1, but ${missing(absent)}`);
  return { skip: missing(absent) };
}

function missing(absent: readonly string[]): string {
  const names = [...new Set(absent)];
  const parts = names.filter((name) => !(name in HAD_AT)).map((name) => PART_OF[name] ?? name);
  const ways = names.flatMap((name) => HAD_AT[name] ?? []);
  if (parts.length > 0) ways.unshift(`.ci/real-parts ${[...new Set(parts)].join(" ")}`);
  return `not installed: ${names.join(", ")} (${ways.join(", ")})`;
}
