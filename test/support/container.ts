import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { at, type Json, type JsonObject, listAt, textAt } from "../../src/kubernetes/json-patch.ts";
import { type Dockerfile, readDockerfile } from "./dockerfile.ts";
import type { Pod } from "./netns.ts";
import type { RunningProcess } from "./process.ts";

const ROOT = join(import.meta.dirname, "..", "..");

/** An image that was assembled from its Dockerfile: its root file system, and what the Dockerfile says of it. */
export interface Image extends Dockerfile {
  readonly rootfs: string;
}

/** Makes an image as the Dockerfile does, by the command in it, but with the packages and the Node of this work tree. */
export function assembleImage(name: string, folder: string): Image {
  const read = readDockerfile(readFileSync(join(ROOT, "deploy", "image", `${name}.Dockerfile`), "utf8"));
  const [program = "", ...args] = read.makes.map((word) => (word === read.copied ? folder : word));
  execFileSync(join(ROOT, program), args, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  return { ...read, rootfs: folder };
}

/** What the kubelet knows of a pod when it starts a container of it. */
export interface PodFacts {
  /** What `fieldRef` of the downward API says. */
  readonly fields: Readonly<Record<string, string>>;
  /** Folders of the machine that stand for the pod's volumes, by name. */
  readonly volumes: Readonly<Record<string, string>>;
}

/** A container that runs. Its program is number 1 of its own processes, as an engine has it. */
export interface Container extends Omit<RunningProcess, "signal" | "stop" | "kill"> {
  /** The number of the program, as the machine counts. */
  program(): number;
  signal(signal: NodeJS.Signals): void;
}

/**
 * Starts a container of a pod as its description says, without an engine: the image as its root, read-only where that is asked
 * for, with nothing to write in but what is mounted so; its own processes; its user; no capability but those it is granted, and
 * none to be had (no_new_privs). What it may use of the machine is not limited, and system calls are not filtered.
 */
export async function startContainer(
  place: Pod,
  image: Image,
  described: JsonObject,
  facts: PodFacts,
): Promise<Container> {
  const context = at(described, "securityContext");
  const user = numberAt(context, "runAsUser") ?? image.user.uid;
  const group = numberAt(context, "runAsGroup") ?? (user === image.user.uid ? image.user.gid : user);
  if (at(context, "runAsNonRoot") === true && user === 0) throw new Error("it would run as root");
  const granted = strings(listAt(context, "capabilities", "add")).map((name) => `+${name.toLowerCase()}`);
  const mounts = listAt(described, "volumeMounts").flatMap((mount) => {
    const source = facts.volumes[textAt(mount, "name") ?? ""];
    const path = textAt(mount, "mountPath") ?? "";
    if (source === undefined) throw new Error(`there is no volume ${textAt(mount, "name")}`);
    mkdirSync(join(image.rootfs, path), { recursive: true });
    return [source, path, at(mount, "readOnly") === true ? "ro" : "rw"];
  });
  for (const folder of ["proc", "dev"]) mkdirSync(join(image.rootfs, folder), { recursive: true });
  for (const device of DEVICES) touch(join(image.rootfs, device));
  const readOnly = at(context, "readOnlyRootFilesystem") === true ? "ro" : "rw";
  const command = strings(listAt(described, "command"));
  const args = strings(listAt(described, "args"));
  const started = await place.start([
    ...["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", SCRIPT, "sh", image.rootfs, readOnly],
    ...mounts,
    ...["--", "env", "-i", ...environment(image, described, facts)],
    // chroot and the change of user need three rights, which are inherited as far as that, and gone with the user.
    ...["setpriv", "--inh-caps", "-all,+sys_chroot,+setuid,+setgid"],
    ...["setpriv", "--bounding-set", ["-all", ...granted].join(","), "--no-new-privs"],
    ...["chroot", `--userspec=${user}:${group}`, image.rootfs],
    ...(command.length > 0 ? command : image.entrypoint),
    ...(args.length > 0 || command.length > 0 ? args : image.command),
  ]);
  const program = (): number => {
    const children = readFileSync(`/proc/${started.pid}/task/${started.pid}/children`, "utf8").trim();
    if (!/^\d+$/.test(children)) throw new Error(`the container has ended, or not begun: "${children}"`);
    return Number(children);
  };
  return { ...started, program, signal: (signal) => process.kill(program(), signal) };
}

const DEVICES = ["dev/null", "dev/zero", "dev/random", "dev/urandom"];

/** ROOTFS ro|rw [SOURCE PATH ro|rw]... -- COMMAND...; mounts go with the namespace. */
const SCRIPT = `
root=$1 mode=$2; shift 2
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
  mount --bind "$1" "$root$2"
  [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
  shift 3
done
shift
mount -t proc proc "$root/proc"
for device in ${DEVICES.join(" ")}; do mount --bind "/$device" "$root/$device"; done
[ "$mode" = rw ] || mount -o remount,bind,ro "$root"
exec "$@"
`;

function environment(image: Image, described: JsonObject, { fields }: PodFacts): string[] {
  const own = listAt(described, "env").map((entry) => {
    const name = textAt(entry, "name") ?? "";
    const value = textAt(entry, "value") ?? fields[textAt(entry, "valueFrom", "fieldRef", "fieldPath") ?? ""];
    if (value === undefined) throw new Error(`what ${name} is to be is not known`);
    return `${name}=${value}`;
  });
  const given = Object.entries(image.env).map(([name, value]) => `${name}=${value}`);
  return ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", ...given, ...own];
}

function touch(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "", { flag: "a" });
}

function numberAt(value: Json | undefined, key: string): number | undefined {
  const found = at(value, key);
  return typeof found === "number" ? found : undefined;
}

function strings(values: readonly Json[]): string[] {
  return values.map(String);
}
