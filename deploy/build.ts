import { readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * CommonJS packages in an ES module: they ask for Node's built-ins with `require`, and some for their own folder.
 * The names are ours alone, for the bundled sources import the same functions under theirs.
 */
const BANNER = [
  'import { createRequire as bundleCreateRequire } from "node:module";',
  'import { dirname as bundleDirname } from "node:path";',
  'import { fileURLToPath as bundleFileURLToPath } from "node:url";',
  "const require = bundleCreateRequire(import.meta.url);",
  "const __filename = bundleFileURLToPath(import.meta.url);",
  "const __dirname = bundleDirname(__filename);",
].join("\n");

/** Bundles `entry` with everything it imports into the one file `outfile`, for the Node that the package pins. */
export async function bundle(entry: string, outfile: string): Promise<Metafile> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node24",
    banner: { js: BANNER },
    // Stack traces of a release have to be readable: names and line structure stay.
    keepNames: true,
    minify: false,
    legalComments: "inline",
    metafile: true,
    logLevel: "warning",
  });
  return result.metafile;
}

/** The packages of which a bundle holds code, sorted, as folders relative to the clone. */
export function bundledPackages(metafile: Metafile): string[] {
  const packages = new Set<string>();
  for (const path of Object.keys(metafile.inputs)) {
    const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0];
    if (folder !== undefined) packages.add(folder);
  }
  return [...packages].sort();
}

/** The notices that the licences of bundled packages ask for, in one text. */
export async function notices(packages: readonly string[]): Promise<string> {
  const texts = packages.map(async (folder) => {
    const manifest: unknown = JSON.parse(await readFile(join(root, folder, "package.json"), "utf8"));
    const { name, version, license } = Object(manifest);
    return `${name} ${version} (${license})\n\n${await licenseText(join(root, folder))}`;
  });
  return (await Promise.all(texts)).join(`\n${"-".repeat(80)}\n\n`);
}

async function licenseText(folder: string): Promise<string> {
  for (const name of ["LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "license", "License"]) {
    try {
      return await readFile(join(folder, name), "utf8");
    } catch {
      // the next spelling
    }
  }
  return "The package carries no licence text of its own.\n";
}

if (import.meta.main) {
  const outfile = join(root, "dist", "outrigger.js");
  const metafile = await bundle(join(root, "src", "main.ts"), outfile);
  const packages = bundledPackages(metafile);
  await writeFile(join(root, "dist", "THIRD-PARTY-NOTICES.txt"), await notices(packages));
  const { size } = await stat(outfile);
  process.stdout.write(`dist/outrigger.js: ${Math.round(size / 1024)} KiB with ${packages.length} packages\n`);
}
