/**
 * Which addresses of a host are its instances. `auto`: those of IPv4, or where it has none those of IPv6, so that a host with
 * both is one instance and not two.
 */
export type DnsFamily = "auto" | "ipv4" | "ipv6" | "both";

/** Where the instances of a name are: at every address of a host, or where SRV records say (RFC 2782). */
export type DnsName =
  | { readonly kind: "host"; readonly name: string; readonly port: number }
  | { readonly kind: "srv"; readonly name: string };

/** How names are asked for. */
export interface DnsOptions {
  /** Milliseconds from an answer without a time to live to the next question. */
  readonly refresh: number;
  readonly family: DnsFamily;
  /** HOST:PORT of the name servers; none: those of the system. */
  readonly servers: readonly string[];
  /** Milliseconds after which it is believed that a name that had addresses has none any more; undefined: never. */
  readonly maxStale: number | undefined;
  /** By upstream. */
  readonly names: ReadonlyMap<string, DnsName>;
}
