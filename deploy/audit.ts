import { execFile } from "node:child_process";
import { join } from "node:path";

/** What a registry knows against the locked packages. */
export type Verdict =
  | { readonly kind: "clean"; readonly packages: number }
  | { readonly kind: "found"; readonly advisories: readonly string[] }
  /** Nobody has looked: that is neither good nor bad. */
  | { readonly kind: "unknown"; readonly why: string };

/** As much of `npm audit --json` as is looked at here. */
interface Report {
  readonly auditReportVersion?: number;
  readonly message?: string;
  readonly vulnerabilities?: Readonly<
    Record<
      string,
      {
        readonly severity: string;
        readonly via: readonly (string | { readonly title: string; readonly url: string })[];
      }
    >
  >;
  readonly metadata?: { readonly dependencies?: { readonly total?: number } };
}

/** What npm has said. A report is taken for one only where it says how many packages it is about. */
export function judge(output: string): Verdict {
  let report: Report | null;
  try {
    report = JSON.parse(output);
  } catch {
    return { kind: "unknown", why: `npm said no JSON: ${output.slice(0, 200)}` };
  }
  const { vulnerabilities, metadata, message } = report ?? {};
  const total = metadata?.dependencies?.total;
  if (report?.auditReportVersion !== 2 || vulnerabilities === undefined || total === undefined)
    // Where it asked is the business of the one who runs it.
    return { kind: "unknown", why: (message ?? "npm said nothing").replace(/https?:\/\/[^/\s]+/g, "REGISTRY") };
  const advisories = Object.entries(vulnerabilities).flatMap(([name, { severity, via }]) =>
    via.map((one) => `${name} (${severity}): ${typeof one === "string" ? `by ${one}` : `${one.title}, ${one.url}`}`),
  );
  return advisories.length === 0 ? { kind: "clean", packages: total } : { kind: "found", advisories };
}

/** Asks the registry that npm is configured for. `args`: more of npm's. */
export function audit(folder: string, args: readonly string[] = []): Promise<Verdict> {
  return new Promise((resolve) => {
    const all = ["audit", "--json", "--package-lock-only", "--include-workspace-root", "--workspaces", ...args];
    execFile("npm", all, { cwd: folder, maxBuffer: 64 * 1024 * 1024, timeout: 120_000 }, (_error, stdout) =>
      resolve(judge(stdout)),
    );
  });
}

/** 0: nothing is known against them, or nobody could be asked, which is said; with --strict that is an error, too. */
async function main(): Promise<number> {
  const verdict = await audit(join(import.meta.dirname, ".."));
  switch (verdict.kind) {
    case "clean":
      console.log(`audit: nothing is known against the ${verdict.packages} locked packages`);
      return 0;
    case "found":
      for (const advisory of verdict.advisories) console.error(`audit: ${advisory}`);
      return 1;
    case "unknown":
      console.log(`audit: SKIPPED, the packages were not looked at: ${verdict.why}`);
      return process.argv.includes("--strict") ? 1 : 0;
  }
}

if (import.meta.main) process.exitCode = await main();
