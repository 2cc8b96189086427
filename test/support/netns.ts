import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Completed, type ProcessOptions, type RunningProcess, runProcess, startProcess } from "./process.ts";
import { requirePart } from "./real-parts.ts";

/** Why a test that makes network namespaces is skipped here; false where it can run. */
export const namespacesSkip: string | false =
  process.getuid?.() === 0 && process.platform === "linux" ? false : "only root on Linux may make network namespaces";

let made = 0;

/** A network namespace, as a pod has one: an address of its own, loopback of its own, its own names in /etc/hosts. */
export class Pod {
  readonly name: string;
  readonly address: string;
  readonly address6: string;

  constructor(name: string, address: string, address6: string) {
    this.name = name;
    this.address = address;
    this.address6 = address6;
  }

  /** A program in it; `user`: the number of the user that runs it, root without. */
  run(
    command: readonly string[],
    options: ProcessOptions & { timeout?: number } = {},
    user?: number,
  ): Promise<Completed> {
    return runProcess(requirePart("ip"), this.args(command, user), options);
  }

  start(command: readonly string[], options: ProcessOptions = {}, user?: number): Promise<RunningProcess> {
    return startProcess(requirePart("ip"), this.args(command, user), options);
  }

  private args(command: readonly string[], user: number | undefined): string[] {
    const as = user === undefined ? [] : ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups"];
    return ["netns", "exec", this.name, ...as, ...command];
  }
}

/**
 * A network of this test's own: pods on a bridge that is in a namespace itself, so that nothing of the machine is touched. Its
 * addresses exist in these namespaces only.
 */
export class PodNetwork {
  /** The namespace of the bridge, which routes between pods and knows no other network. */
  readonly hub: Pod;
  readonly pods: Pod[] = [];
  private readonly id: string;

  private constructor(id: string) {
    this.id = id;
    this.hub = new Pod(`${id}-hub`, "10.77.0.1", "fd77::1");
  }

  static async make(): Promise<PodNetwork> {
    const network = new PodNetwork(`or${process.pid}n${made++}`);
    const { hub } = network;
    await ip("netns", "add", hub.name);
    await within(hub, "link set lo up");
    await within(hub, "link add br0 type bridge");
    await within(hub, `addr add ${hub.address}/24 dev br0`);
    await within(hub, `-6 addr add ${hub.address6}/64 dev br0 nodad`);
    await within(hub, "link set br0 up");
    return network;
  }

  /** A pod; `hosts`: what its /etc/hosts says besides localhost. */
  async pod(hosts: Readonly<Record<string, string>> = {}): Promise<Pod> {
    const number = this.pods.length + 2;
    const pod = new Pod(`${this.id}-p${number}`, `10.77.0.${number}`, `fd77::${number}`);
    this.pods.push(pod);
    // `ip netns exec` shows the files of this folder in place of those of /etc.
    const etc = join("/etc/netns", pod.name);
    mkdirSync(etc, { recursive: true });
    const lines = [
      "127.0.0.1 localhost",
      "::1 localhost",
      ...Object.entries(hosts).map(([name, to]) => `${to} ${name}`),
    ];
    writeFileSync(join(etc, "hosts"), `${lines.join("\n")}\n`);
    // Where nobody answers at all, clients would wait for the service configuration that they ask DNS for.
    writeFileSync(join(etc, "resolv.conf"), "nameserver 127.0.0.1\n");
    const inside = "eth0";
    const outside = `v${number}`;
    await ip("netns", "add", pod.name);
    await within(this.hub, `link add ${outside} type veth peer name ${inside} netns ${pod.name}`);
    await within(this.hub, `link set ${outside} master br0 up`);
    await within(pod, "link set lo up");
    await within(pod, `addr add ${pod.address}/24 dev ${inside}`);
    await within(pod, `-6 addr add ${pod.address6}/64 dev ${inside} nodad`);
    await within(pod, `link set ${inside} up`);
    await within(pod, `route add default via ${this.hub.address}`);
    await within(pod, `-6 route add default via ${this.hub.address6}`);
    return pod;
  }

  /** Gives the hub an address more, which every pod reaches by its default route. */
  async hubHas(address: string): Promise<void> {
    const bits = address.includes(":") ? "128 dev br0 nodad" : "32 dev br0";
    await within(this.hub, `addr add ${address}/${bits}`);
  }

  /** Takes every namespace away; the programs in them have been ended before. */
  async close(): Promise<void> {
    for (const { name } of [...this.pods, this.hub]) {
      await runProcess(requirePart("ip"), ["netns", "del", name]);
      rmSync(join("/etc/netns", name), { recursive: true, force: true });
    }
  }
}

async function ip(...args: string[]): Promise<void> {
  const done = await runProcess(requirePart("ip"), args);
  if (done.code !== 0) throw new Error(`ip ${args.join(" ")}: ${done.stderr}`);
}

async function within(pod: Pod, args: string): Promise<void> {
  await ip("-n", pod.name, ...args.split(" "));
}
