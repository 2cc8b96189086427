import type { Config } from "../../config/types.ts";
import type { Clock } from "../../core/clock.ts";
import type { Material } from "../../identity/material.ts";
import { makeIdentitySource, needsIdentity } from "../../runtime/identity-source.ts";
import { checkPem } from "./certificates.ts";
import { type Check, error, messageOf } from "./finding.ts";

const NAME = "identity";
/** Milliseconds for a certificate to come. */
const PATIENCE = 5000;

const remedies = {
  consul:
    'Connect has to be enabled on the servers, and the token needs service "NAME" { policy = "write" } of the own service.',
  spiffe: "Start the agent, mount its socket where mtls.source.spiffe.socket says, and register this workload with it.",
};

/** Whether who is to certify this sidecar does: a certificate is asked for as the sidecar does it, looked at and thrown away. */
export const checkIdentity: Check = async ({ config, clock }) => {
  const { source } = config.mtls;
  const kind = source?.consul !== undefined ? "consul" : source?.spiffe !== undefined ? "spiffe" : undefined;
  // Files are looked at for themselves, and the authority of a folder is made where there is none.
  if (kind === undefined || !needsIdentity(config)) return [];
  const what = `mtls.source.${kind}`;
  const remedy = remedies[kind].replace("NAME", config.identity.name);
  const material = await obtain(config, clock);
  if (typeof material === "string") return [error(NAME, `${what} gives no certificate: ${material}`, remedy)];
  const { certificate, key, authorities } = material;
  try {
    // An intermediate authority may stand in the chain: who signed the certificate itself is not asked.
    return checkPem(
      { what, identity: true, isRenewed: true },
      { certificate, key, ca: undefined },
      clock.wall(),
    ).concat(
      authorities === ""
        ? [error(NAME, `${what} gives no authority that others could be checked against`, remedy)]
        : [],
    );
  } catch (reason) {
    return [error(NAME, `${what} gives what is no certificate: ${messageOf(reason)}`, remedy)];
  }
};

/** The first that the source has to say. */
async function obtain(config: Config, clock: Clock): Promise<Material | string> {
  const source = makeIdentitySource(config, { clock, random: Math.random });
  try {
    return await new Promise((resolve) => {
      const late = clock.setTimer(PATIENCE, () => resolve(`no answer within ${PATIENCE / 1000}s`));
      const settle = (said: Material | string): void => {
        late.cancel();
        resolve(said);
      };
      source.start({ take: settle, failed: settle }).catch((reason: unknown) => settle(messageOf(reason)));
    });
  } finally {
    await source.close();
  }
}
