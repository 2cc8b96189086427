import type { Config } from "../../config/types.ts";
import { systemClock } from "../../core/clock.ts";
import { askAdmin, targetOf } from "../admin-client.ts";
import { checkApplication } from "./application.ts";
import { checkCalls } from "./calls.ts";
import { checkCertificates } from "./certificates.ts";
import { checkConsul } from "./consul.ts";
import { checkDestinations } from "./destinations.ts";
import { type Check, error, type Finding, messageOf, type Surroundings } from "./finding.ts";
import { checkIdentity } from "./identity.ts";
import { checkNames } from "./names.ts";
import { checkPorts } from "./ports.ts";
import { checkMachine, checkSidecar } from "./sidecar.ts";

/** Every check, in the order in which things depend on each other. */
const checks: Readonly<Record<string, Check>> = {
  machine: checkMachine,
  port: checkPorts,
  name: checkNames,
  certificate: checkCertificates,
  consul: checkConsul,
  identity: checkIdentity,
  destinations: checkDestinations,
  application: checkApplication,
  sidecar: checkSidecar,
  calls: checkCalls,
};

/** Looks at everything around a sidecar of that configuration. A check that fails itself is a finding, too. */
export async function examine(config: Config, patience: number): Promise<readonly Finding[]> {
  const surroundings: Surroundings = { config, clock: systemClock, running: await runningAt(config), patience };
  const found = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        return await check(surroundings);
      } catch (reason) {
        return [
          error(
            name,
            `the check itself failed: ${messageOf(reason)}`,
            "This is a fault of outrigger doctor: please report it.",
          ),
        ];
      }
    }),
  );
  return found.flat();
}

async function runningAt(config: Config): Promise<Surroundings["running"]> {
  const { admin } = config.listeners;
  if (admin.kind === "tcp" && admin.port === 0) return undefined;
  try {
    const target = targetOf(config);
    const { body } = await askAdmin(target, "/live");
    return /"live"/.test(body) ? target : undefined;
  } catch {
    return undefined;
  }
}

const marks = { ok: "ok     ", warning: "warning", error: "ERROR  " };

/** The findings as a page: what is wrong first. */
export function doctorPage(findings: readonly Finding[]): string {
  const order = ["error", "warning", "ok"];
  const lines = findings
    .toSorted((one, other) => order.indexOf(one.verdict) - order.indexOf(other.verdict))
    .flatMap(({ check, verdict, evidence, remedy }) => [
      `${marks[verdict]}  ${check}: ${evidence}`,
      ...(remedy === undefined ? [] : [`         -> ${remedy}`]),
    ]);
  const count = (verdict: string): number => findings.filter((finding) => finding.verdict === verdict).length;
  return `${lines.join("\n")}\n\n${count("error")} errors, ${count("warning")} warnings, ${count("ok")} in order\n`;
}
