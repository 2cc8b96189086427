import { execFileSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { bundle, bundledPackages, notices } from "../build.ts";

/**
 * Makes the root file system of an image: one program, the Node that runs it, the libraries that Node needs, and nothing else -
 * no shell, no package manager. The Dockerfiles copy it into an empty image; a test unpacks and starts it without any engine.
 *
 *   node deploy/image/rootfs.ts outrigger|outrigger-capture|user FOLDER
 */
const ROOT = join(import.meta.dirname, "..", "..");

interface Image {
  /** What it is called in /usr/bin. */
  readonly program: string;
  /** The program that is bundled. */
  readonly entry: string;
  /** A user of its own, by name and number. */
  readonly user: readonly [name: string, id: number];
  /** Packages with native code, which no bundle can hold. */
  readonly native: readonly string[];
  /** Programs of the machine that it calls. */
  readonly tools: readonly string[];
}

// Not the user that the application has: captured traffic is told from the sidecar's own by it.
const sidecar: Image = {
  program: "outrigger",
  entry: "src/main.ts",
  user: ["outrigger", 15001],
  native: ["koffi", `@koromix/koffi-linux-${process.arch}`],
  tools: [],
};

const images: Readonly<Record<string, Image>> = {
  outrigger: sidecar,
  // Sets the rules that redirect a pod's traffic and ends; what runs all the while has no tool to change a network with.
  "outrigger-capture": { ...sidecar, native: [], tools: ["/usr/sbin/nft"] },
  user: { program: "user", entry: "services/user/main.ts", user: ["user", 15002], native: [], tools: [] },
};

const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";

/** Writes the root file system of an image into a folder, which is emptied first. */
export async function writeRootfs(name: string, folder: string): Promise<void> {
  const image = images[name];
  if (image === undefined) throw new Error(`there is no image "${name}"; there are ${Object.keys(images).join(", ")}`);
  rmSync(folder, { recursive: true, force: true });
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text, { mode });
  };
  const copy = (from: string, path = from): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    copyFileSync(realpathSync(from), join(folder, path));
  };

  const { program } = image;
  const home = `/usr/lib/${program}`;
  const metafile = await bundle(join(ROOT, image.entry), join(folder, home, `${program}.js`));
  put(`${home}/THIRD-PARTY-NOTICES.txt`, await notices(bundledPackages(metafile)));
  put(`${home}/package.json`, '{ "type": "module" }\n');
  for (const native of image.native) {
    const from = join(ROOT, "node_modules", native);
    if (existsSync(from)) cpSync(from, join(folder, home, "node_modules", native), { recursive: true, filter: needed });
  }
  // The kernel itself reads the first line: a program without a shell to start it.
  put(`/usr/bin/${program}`, `#!/usr/bin/node\nimport("${home}/${program}.js");\n`, 0o755);

  for (const [from, as] of [
    [process.execPath, "node"],
    ...image.tools.map((tool) => [tool, basename(tool)]),
  ] as const) {
    if (from === undefined || as === undefined) continue;
    copy(from, `/usr/bin/${as}`);
    chmodSync(join(folder, "usr/bin", as), 0o755);
    strip(join(folder, "usr/bin", as));
    for (const library of librariesOf(from)) copy(library);
  }

  const [user, id] = image.user;
  put("/etc/passwd", `root:x:0:0:root:/:/\n${user}:x:${id}:${id}:${user}:/:/\n`);
  put("/etc/group", `root:x:0:\n${user}:x:${id}:\n`);
  put("/etc/nsswitch.conf", "hosts: files dns\n");
  if (existsSync(AUTHORITIES)) copy(AUTHORITIES);
  mkdirSync(join(folder, "tmp"));
  chmodSync(join(folder, "tmp"), 0o1777);
}

/** Of a native package what runs: its sources, documentation and types are many megabytes. */
function needed(path: string): boolean {
  return (
    !["vendor", "doc", "lib", "native", "musl_x64", "musl_arm64"].includes(basename(path)) &&
    !/\.(md|d\.ts|cc?|hh?|cpp|inc|S|asm)$/.test(path)
  );
}

/** Symbols are of no use without a debugger. Where there is no `strip`, the program is some megabytes larger. */
function strip(program: string): void {
  try {
    execFileSync("strip", ["--strip-unneeded", program], { stdio: "ignore" });
  } catch {
    // as it was
  }
}

/** The shared libraries of a program, the loader included. */
function librariesOf(program: string): string[] {
  const listed = execFileSync("ldd", [program], { encoding: "utf8" });
  return [...listed.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map(([, path]) => path ?? "");
}

/** Octets of a folder's files. */
export function sizeOf(folder: string): number {
  const text = execFileSync("du", ["--apparent-size", "-sb", folder], { encoding: "utf8" });
  return Number(text.split("\t")[0]);
}

if (import.meta.main) {
  const [name, folder] = process.argv.slice(2);
  if (name === undefined || folder === undefined) {
    process.stderr.write(`usage: node deploy/image/rootfs.ts ${Object.keys(images).join("|")} FOLDER\n`);
    process.exitCode = 2;
  } else {
    await writeRootfs(name, folder);
    const modules = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    process.stdout.write(`${folder}: ${name} ${modules.version}, ${(sizeOf(folder) / 2 ** 20).toFixed(1)} MiB\n`);
  }
}
