import { readFile } from "node:fs/promises";
import type { ConsulConfig } from "../../config/types.ts";
import { type Check, error, type Finding, messageOf, ok, warning } from "./finding.ts";
import { ask, type HttpReply } from "./reach.ts";

const NAME = "consul";
/** Milliseconds by which clocks may differ: certificates and tokens begin a minute before they are needed. */
const SKEW = 5000;
const BAD_SKEW = 60_000;

/** Whether the agent answers, has a leader, lets this token do what it has to do, and agrees about the time. */
export const checkConsul: Check = async ({ config, clock }) => {
  const { consul } = config.discovery;
  if (consul === undefined) return [];
  let how: Credentials;
  try {
    how = await credentialsOf(consul);
  } catch (reason) {
    return [
      error(NAME, `a file of discovery.consul cannot be read: ${messageOf(reason)}`, "Mount it, or correct its path."),
    ];
  }
  const before = clock.wall();
  let leader: HttpReply;
  try {
    leader = await ask(`${consul.address}/v1/status/leader`, how);
  } catch (reason) {
    return [
      error(
        NAME,
        `${consul.address} does not answer: ${messageOf(reason)}`,
        "Start the agent, or correct discovery.consul.address. Names that were known before are kept (discovery.cache over a restart).",
      ),
    ];
  }
  if (leader.status !== 200 || leader.body === '""')
    return [
      error(
        NAME,
        `${consul.address} has no leader: ${leader.status} ${leader.body.slice(0, 200)}`,
        "See to Consul's servers: without a leader nothing is registered and nothing changes.",
      ),
    ];
  const findings = [ok(NAME, `${consul.address} answers, the leader is ${leader.body}`)];
  findings.push(clockOf(leader, (before + clock.wall()) / 2));
  findings.push(...(await rightsOf(consul, how, config.service?.name)));
  return findings;
};

interface Credentials {
  readonly headers: Readonly<Record<string, string>>;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

async function credentialsOf({ token, tokenFile, tls }: ConsulConfig): Promise<Credentials> {
  const secret = tokenFile === undefined ? token : (await readFile(tokenFile, "utf8")).trim();
  const pem = async (path: string | undefined): Promise<string | undefined> => path && (await readFile(path, "utf8"));
  const [ca, cert, key] = [await pem(tls?.ca), await pem(tls?.cert), await pem(tls?.key)];
  return {
    headers: secret === undefined || secret === "" ? {} : { "x-consul-token": secret },
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
  };
}

function clockOf({ headers }: HttpReply, now: number): Finding {
  const theirs = Date.parse(String(headers.date));
  if (Number.isNaN(theirs)) return ok("clock", "the agent does not say what time it is");
  // The field has whole seconds: half of one is the least wrong.
  const skew = Math.round(Math.max(0, Math.abs(now - theirs - 500) - 500));
  const evidence = `this machine's clock and the agent's differ by ${skew / 1000}s`;
  if (skew < SKEW) return ok("clock", evidence);
  const remedy = "Have both follow a time server: certificates are refused as not yet valid or expired.";
  return skew < BAD_SKEW ? warning("clock", evidence, remedy) : error("clock", evidence, remedy);
}

interface Right {
  readonly Resource: string;
  readonly Access: string;
  readonly Segment?: string;
}

/** Asks Consul what the token may do, as its own user interface does. */
async function rightsOf({ address }: ConsulConfig, how: Credentials, service: string | undefined): Promise<Finding[]> {
  const rights: Right[] = [
    { Resource: "service", Access: "read", Segment: "" },
    { Resource: "node", Access: "read", Segment: "" },
    ...(service === undefined ? [] : [{ Resource: "service", Access: "write", Segment: service }]),
  ];
  const reply = await ask(`${address}/v1/internal/acl/authorize`, {
    ...how,
    method: "POST",
    headers: { ...how.headers, "content-type": "application/json" },
    body: JSON.stringify(rights),
  });
  if (/ACL support disabled/.test(reply.body)) return [ok(NAME, "access control lists are off: no token is needed")];
  if (reply.status !== 200)
    return [
      error(
        NAME,
        `the token is not accepted: ${reply.status} ${reply.body.slice(0, 200).trim()}`,
        "Put a valid token into discovery.consul.tokenFile or CONSUL_HTTP_TOKEN.",
      ),
    ];
  const answers: readonly (Right & { readonly Allow: boolean })[] = JSON.parse(reply.body);
  return answers.map(({ Resource, Access, Segment = "", Allow }) => {
    const right = `${Resource}${Segment === "" ? '_prefix ""' : ` "${Segment}"`} ${Access}`;
    if (Allow) return ok(NAME, `the token allows ${right}`);
    const why = Access === "write" ? "the service cannot be registered" : "instances of services are not seen";
    const rule =
      Segment === "" ? `${Resource}_prefix "" { policy = "read" }` : `${Resource} "${Segment}" { policy = "write" }`;
    return error(NAME, `the token does not allow ${right}: ${why}`, `Add to its policy: ${rule}`);
  });
}
