import { removeIptables, setIptables } from "../capture/iptables.ts";
import { removeNftables, setNftables } from "../capture/nftables.ts";
import type { CaptureRules, Step } from "../capture/rules.ts";
import { formatSteps, isInstalled, runSteps } from "../capture/run-steps.ts";
import { formatIssues } from "../config/format-issues.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import { SIDECAR_USER } from "../kubernetes/in-pod.ts";
import { type Command, Exit, type Input, UsageError } from "./command.ts";
import { configOption, readConfigFile } from "./config-file.ts";

const tools = {
  nftables: { program: "nft", set: setNftables, remove: removeNftables },
  iptables: { program: "iptables", set: setIptables, remove: removeIptables },
} as const;

type Tool = keyof typeof tools;

/** `outrigger capture`. */
export const captureCommand: Command = {
  summary: "redirects the connections of this network to the sidecar, or no longer",
  options: {
    config: configOption,
    user: {
      value: "NUMBER",
      doc: `the user that the sidecar runs as, whose connections go out as they are; default: ${SIDECAR_USER}`,
    },
    remove: { doc: "takes the rules away" },
    "dry-run": { doc: "prints what would be run" },
  },
  run(input) {
    const source = readConfigFile(input);
    const loaded = loadConfig(source.text, { file: source.file, env: input.env });
    if (!loaded.ok) {
      process.stderr.write(formatIssues(loaded.issues, source.file, source.text));
      return Exit.USAGE;
    }
    const { config } = loaded;
    if (config.capture === undefined)
      throw new UsageError(`${source.file} has no section capture: nothing would listen`);
    const tool = tools[toolOf(config.capture.rules, input.has("dry-run"))];
    const steps = input.has("remove") ? tool.remove() : tool.set(rulesOf(config, config.capture, userOf(input)));
    return input.has("dry-run") ? say(steps) : run(steps);
  },
};

function say(steps: readonly Step[]): number {
  process.stdout.write(formatSteps(steps));
  return Exit.OK;
}

function run(steps: readonly Step[]): number {
  const failed = runSteps(steps);
  if (failed === undefined) return Exit.OK;
  process.stderr.write(`outrigger: ${failed}\n`);
  return Exit.FAILED;
}

function toolOf(wanted: Tool | "auto", dryRun: boolean): Tool {
  if (wanted !== "auto") return wanted;
  if (dryRun || isInstalled(tools.nftables.program)) return "nftables";
  if (isInstalled(tools.iptables.program)) return "iptables";
  throw new UsageError("neither nft nor iptables is installed here");
}

function userOf(input: Input): number {
  const written = input.value("user") ?? String(SIDECAR_USER);
  if (!/^[0-9]{1,10}$/.test(written)) throw new UsageError(`--user is "${written}", expected the number of a user`);
  return Number(written);
}

function rulesOf(config: Config, capture: NonNullable<Config["capture"]>, user: number): CaptureRules {
  const { listeners, service } = config;
  const own = [listeners.probe, ...(service === undefined ? [] : [listeners.inbound])];
  return {
    inboundPort: portOf(capture.inbound),
    outboundPort: portOf(capture.outbound),
    ownPorts: own.flatMap((address) => (address.kind === "tcp" && address.port !== 0 ? [address.port] : [])),
    users: [user, ...capture.exclude.users],
    excluded: capture.exclude,
  };
}

/** Checked when the configuration was read: a rule needs a port. */
function portOf(address: Address): number {
  if (address.kind === "unix") throw new Error("a unix socket cannot be redirected to");
  return address.port;
}
