/**
 * Workload identities as SPIFFE has them, `spiffe://TRUST-DOMAIN/PATH`, and Consul's form of them:
 * `spiffe://TRUST-DOMAIN/ns/NAMESPACE/dc/DATACENTER/svc/SERVICE`, with `/ap/PARTITION` in front where partitions are used.
 */
export interface SpiffeId {
  /** As it stands in the certificate; two ids are the same where their texts are. */
  readonly text: string;
  readonly trustDomain: string;
  /** What Consul's form says, where the id has that form. */
  readonly consul: ConsulWorkload | undefined;
}

/** What the path of an id of Consul Connect says. */
export interface ConsulWorkload {
  readonly partition: string | undefined;
  readonly namespace: string;
  readonly datacenter: string;
  readonly service: string;
}

/** What stands for the service of a caller that has no certificate, in logs, metrics, rules and keys. */
export const UNAUTHENTICATED = "unauthenticated";

/** SPIFFE-ID §2.3 and §2.4. */
const MAX_ID = 2048;
const MAX_TRUST_DOMAIN = 255;
const SCHEME = "spiffe://";
const trustDomainForm = /^[a-z0-9._-]+$/;
const segmentForm = /^[A-Za-z0-9._-]+$/;
const consulForm = /^\/(?:ap\/([^/]+)\/)?ns\/([^/]+)\/dc\/([^/]+)\/svc\/([^/]+)$/;

/** Reads an id by the rules of SPIFFE-ID §2; a string is the reason why the text is none. */
export function parseSpiffeId(text: string): SpiffeId | string {
  if (text.length > MAX_ID) return `it is longer than ${MAX_ID} octets`;
  if (!text.startsWith(SCHEME)) return `it does not begin with ${SCHEME}`;
  const slash = text.indexOf("/", SCHEME.length);
  const trustDomain = text.slice(SCHEME.length, slash < 0 ? undefined : slash);
  if (trustDomain === "") return "it has no trust domain";
  if (trustDomain.length > MAX_TRUST_DOMAIN || !trustDomainForm.test(trustDomain))
    return 'a trust domain has lower-case letters, digits, ".", "-" and "_" only, at most 255';
  const path = slash < 0 ? "" : text.slice(slash);
  for (const segment of path.split("/").slice(1)) {
    if (segment === "") return "a part of its path is empty";
    if (segment === "." || segment === "..") return "its path has a part that is . or ..";
    if (!segmentForm.test(segment)) return 'a path has letters, digits, ".", "-" and "_" only';
  }
  return { text, trustDomain, consul: consulWorkload(path) };
}

function consulWorkload(path: string): ConsulWorkload | undefined {
  const found = consulForm.exec(path);
  if (found === null) return undefined;
  const [, partition, namespace = "", datacenter = "", service = ""] = found;
  return { partition, namespace, datacenter, service };
}

/**
 * How a caller is called where services are meant: the service of Consul's form, the whole id of another, and
 * `unauthenticated` where there is none. No certificate can take that word, nor another one's service.
 */
export function peerService(identity: string | undefined): string {
  if (identity === undefined) return UNAUTHENTICATED;
  const id = parseSpiffeId(identity);
  if (typeof id === "string" || id.consul === undefined || id.consul.service === UNAUTHENTICATED) return identity;
  return id.consul.service;
}

/** Ids that are meant by one text, in which `*` stands for any characters within a part of the path, or of the trust domain. */
export class IdPattern {
  readonly text: string;
  private readonly form: RegExp;

  private constructor(text: string) {
    this.text = text;
    const parts = text.split("*").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\/-]/g, String.raw`\$&`));
    this.form = new RegExp(`^${parts.join("[^/]*")}$`);
  }

  /** Reads a pattern; a string is the reason why the text is none. */
  static parse(text: string): IdPattern | string {
    // What is an id once each star is a letter can match one.
    const problem = parseSpiffeId(text.replaceAll("*", "x"));
    return typeof problem === "string" ? problem : new IdPattern(text);
  }

  matches(id: SpiffeId): boolean {
    return this.form.test(id.text);
  }
}

/** Where a service is expected of which nothing but its name is written down: in the trust domain and the namespace of an id. */
export function placeOf({ consul, trustDomain }: SpiffeId): Parameters<typeof consulPattern>[1] {
  const namespace = consul?.namespace ?? "default";
  return { trustDomain, namespace, ...(consul?.partition === undefined ? {} : { partition: consul.partition }) };
}

/** The patterns of a service in Consul's form; what is left out is any. */
export function consulPattern(service: string, where: Partial<ConsulWorkload> & { trustDomain?: string }): IdPattern {
  const { trustDomain = "*", partition, namespace = "*", datacenter = "*" } = where;
  const ap = partition === undefined ? "" : `/ap/${partition}`;
  const pattern = IdPattern.parse(`spiffe://${trustDomain}${ap}/ns/${namespace}/dc/${datacenter}/svc/${service}`);
  if (typeof pattern === "string") throw new Error(`${service} cannot stand in a SPIFFE id: ${pattern}`);
  return pattern;
}
