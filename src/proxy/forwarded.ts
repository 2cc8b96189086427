import { nameAsRead } from "../http/field-name.ts";
import { HeadFilter, withAppended, withField } from "../http/head-edit.ts";
import type { Head, HeaderTable } from "../http/headers.ts";
import type { WorkloadCertificate } from "../identity/certificate.ts";
import type { AcceptedConnection } from "./accepted-connection.ts";

const CLIENT_CERT = "x-forwarded-client-cert";
const FORWARDED_FOR = "x-forwarded-for";
const FORWARDED = "forwarded";

/**
 * What the application may believe of where a call comes from. Who called stands in `x-forwarded-client-cert`, which nobody but
 * this sidecar can set. Addresses that others have noted on the way are believed only of a caller who has proven who it is: a
 * stranger's are replaced by its own address, not added to.
 */
export class Forwarded {
  private readonly table: HeaderTable;
  /** What only this sidecar may say. */
  private readonly certificates: HeadFilter;
  /** The same, and what a stranger may not say. */
  private readonly strangers: HeadFilter;
  private readonly others: HeadFilter;

  constructor(table: HeaderTable) {
    this.table = table;
    this.certificates = new HeadFilter(table, (name) => nameAsRead(name) === CLIENT_CERT);
    const isStrange = (name: string): boolean => {
      const read = nameAsRead(name);
      return read === CLIENT_CERT || read === FORWARDED || (read === FORWARDED_FOR && name !== FORWARDED_FOR);
    };
    this.others = new HeadFilter(table, isStrange);
    this.strangers = new HeadFilter(table, (name) => isStrange(name) || name === FORWARDED_FOR);
  }

  /** The head of a call as the application gets it. */
  apply(head: Head, { caller, peer }: Pick<AcceptedConnection, "caller" | "peer">): Head {
    if (caller !== undefined)
      return withAppended(this.table, this.certificates.apply(head), CLIENT_CERT, caller.certificate);
    const clean = this.strangers.apply(head);
    const host = clean === head || head.get(FORWARDED_FOR) === undefined ? undefined : hostOf(peer);
    return host === undefined ? clean : this.others.apply(withField(this.table, head, FORWARDED_FOR, host));
  }
}

/** The host of a peer as the listener names it; undefined where it has none, as over a unix socket. */
function hostOf(peer: string): string | undefined {
  const host = /^\[?([0-9a-f.:]+?)\]?:[0-9]+$/.exec(peer)?.[1];
  return host === undefined || host === "" ? undefined : host;
}

/** `x-forwarded-client-cert` in Envoy's form: whose sidecar this is, and which certificate the caller has shown. */
export function clientCertificate(own: WorkloadCertificate, peer: WorkloadCertificate): string {
  const subject = peer.subject.replaceAll("\n", ",").replaceAll(/["\\]/g, String.raw`\$&`);
  return `By=${own.id.text};Hash=${peer.fingerprint};Subject="${visible(subject)}";URI=${peer.id.text}`;
}

/** A field's value has no control characters and is of octets. */
function visible(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?");
}
