import { execFile } from "node:child_process";
import { promisify } from "node:util";

const run = promisify(execFile);

/** As much of CycloneDX as is looked at here. */
interface Component {
  readonly "bom-ref": string;
  readonly properties: readonly { readonly name: string }[];
}

interface Bill {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** Packages of this clone that are no part of a release. */
const WORKSPACES = "@outrigger/";

/**
 * What a release needs at run time, as CycloneDX, from the lock file: packages with version, licence and checksum. Without a time
 * and a serial number, so that the same sources make the same text.
 */
export async function sbom(folder: string): Promise<string> {
  const args = ["sbom", "--sbom-format", "cyclonedx", "--sbom-type", "application", "--package-lock-only"];
  const { stdout } = await run("npm", args, { cwd: folder, maxBuffer: 64 * 1024 * 1024 });
  const bill: Bill = JSON.parse(stdout);
  const needed = released(bill);
  const { component } = bill.metadata;
  // npm takes the name of the folder for that of the program.
  const [name] = component["bom-ref"].split("@");
  const whole = {
    ...bill,
    serialNumber: undefined,
    metadata: { ...bill.metadata, timestamp: undefined, component: { ...component, name } },
    components: bill.components.filter((one) => needed.has(one["bom-ref"])),
    dependencies: bill.dependencies
      .filter(({ ref }) => needed.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => needed.has(other)) })),
  };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

/** The program and what it leads to. npm's own `--omit dev` leaves out what a workspace needs, too. */
function released({ metadata, components, dependencies }: Bill): Set<string> {
  const isDevelopment = ({ properties }: Component): boolean =>
    properties.some(({ name }) => name === "cdx:npm:package:development");
  const left = new Set(components.filter(isDevelopment).map((one) => one["bom-ref"]));
  const leadsTo = new Map(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const found = new Set([metadata.component["bom-ref"]]);
  for (const ref of found)
    for (const next of leadsTo.get(ref) ?? []) if (!left.has(next) && !next.startsWith(WORKSPACES)) found.add(next);
  return found;
}
