import { promises as dns } from "node:dns";

/** What name servers said to one question. */
export type DnsAnswer<R> =
  | {
      readonly kind: "records";
      readonly records: readonly R[];
      /** Milliseconds that they may be used; undefined where that is not known, or nothing. */
      readonly ttl: number | undefined;
    }
  /** The name, or a record of this type, does not exist. */
  | { readonly kind: "none"; readonly why: string }
  /** No answer, or none that says anything. */
  | { readonly kind: "failed"; readonly why: string };

/** Where a service has an instance (RFC 2782). */
export interface SrvRecord {
  readonly target: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** Asks name servers. Never rejects. */
export interface DnsLookup {
  addresses(name: string, family: 4 | 6): Promise<DnsAnswer<string>>;
  services(name: string): Promise<DnsAnswer<SrvRecord>>;
  /** Ends what is asked; it is answered as failed. */
  cancel(): void;
}

/** One is made for each round of questions. */
export type OpenLookup = () => DnsLookup;

/** Milliseconds that a name server has for its first try; the next ones have longer. */
const TRY = 1000;
const TRIES = 3;

const CODES: Readonly<Record<string, string>> = {
  ENOTFOUND: "the name does not exist",
  ENODATA: "it has no such record",
  ESERVFAIL: "the name server fails (SERVFAIL)",
  EREFUSED: "the name server refuses to answer (REFUSED)",
  ENOTIMP: "the name server does not know such a question (NOTIMP)",
  EFORMERR: "the name server does not understand the question (FORMERR)",
  EBADRESP: "the name server's answer cannot be read",
  EBADNAME: "this is not a name that can be asked for",
  ETIMEOUT: "no name server answers",
  ECONNREFUSED: "no name server can be reached",
  ECANCELLED: "the name servers took too long",
};

/**
 * Lookups by the resolver of Node.js, which asks name servers itself: neither /etc/hosts nor search domains have a say.
 * `servers`: HOST:PORT each; none: those of the system, whose file is read anew for each lookup.
 */
export function nodeLookup(servers: readonly string[]): OpenLookup {
  return () => {
    const resolver = new dns.Resolver({ timeout: TRY, tries: TRIES });
    if (servers.length > 0) resolver.setServers(servers);
    return {
      async addresses(name, family) {
        const what = `${family === 4 ? "A" : "AAAA"} of ${name}`;
        const asked = family === 4 ? resolver.resolve4(name, { ttl: true }) : resolver.resolve6(name, { ttl: true });
        return asked.then(
          (records) => ({
            kind: "records",
            records: records.map(({ address }) => address),
            ttl: shortest(records.map(({ ttl }) => ttl)),
          }),
          (error: unknown) => failure(what, error),
        );
      },
      async services(name) {
        return resolver.resolveSrv(name).then(
          (records) => ({
            kind: "records",
            records: records.map(({ name: target, port, priority, weight }) => ({ target, port, priority, weight })),
            // Node.js does not tell it.
            ttl: undefined,
          }),
          (error: unknown) => failure(`SRV of ${name}`, error),
        );
      },
      cancel: () => resolver.cancel(),
    };
  };
}

/** In milliseconds. 0 forbids only to keep an answer (RFC 1035 §3.2.1): how soon it is asked for again is left open. */
function shortest(seconds: readonly number[]): number | undefined {
  const least = Math.min(...seconds);
  return least > 0 && Number.isFinite(least) ? least * 1000 : undefined;
}

function failure(what: string, error: unknown): { readonly kind: "none" | "failed"; readonly why: string } {
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const reason = CODES[code] ?? (error instanceof Error ? error.message : String(error));
  const kind = code === "ENOTFOUND" || code === "ENODATA" ? "none" : "failed";
  return { kind, why: `cannot look up ${what}: ${reason}` };
}
