import { readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Metafile } from "esbuild";
import { sbom } from "./sbom.ts";

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

/** Native code, which no bundle can hold: found at run time where it is installed, and done without where it is not. */
const NATIVE = ["koffi"];

/**
 * Bundles `entry` with everything it imports into the file `outfile`, for the Node that the package pins. What is imported
 * only where a configuration asks for it stays in files of its own under `chunks/` beside it: a sidecar that does not trace
 * does not load a tracing SDK.
 */
export async function bundle(entry: string, outfile: string): Promise<Metafile> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [{ in: entry, out: basename(outfile, extname(outfile)) }],
    outdir: dirname(outfile),
    chunkNames: "chunks/[name]-[hash]",
    splitting: true,
    external: NATIVE,
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
  await rm(dirname(outfile), { recursive: true, force: true });
  const metafile = await bundle(join(root, "src", "main.ts"), outfile);
  const packages = bundledPackages(metafile);
  await writeFile(join(root, "dist", "THIRD-PARTY-NOTICES.txt"), await notices(packages));
  await writeFile(join(root, "dist", "sbom.cdx.json"), await sbom(root));
  const kib = (bytes: number): number => Math.round(bytes / 1024);
  const outputs = Object.entries(metafile.outputs);
  const all = outputs.reduce((sum, [, { bytes }]) => sum + bytes, 0);
  const main = metafile.outputs["dist/outrigger.js"]?.bytes ?? 0;
  process.stdout.write(
    `dist/outrigger.js: ${kib(main)} KiB of ${kib(all)} in ${outputs.length} files, with ${packages.length} packages\n`,
  );
}
