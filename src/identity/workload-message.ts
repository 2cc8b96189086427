import { WireType } from "@bufbuild/protobuf/wire";
import { readFields } from "../core/protobuf-fields.ts";

/** `X509SVID` of the SPIFFE Workload API: an id, and in DER its certificates, its key (PKCS #8) and its authorities. */
export interface Svid {
  readonly id: string;
  readonly certificates: Uint8Array;
  readonly key: Uint8Array;
  readonly bundle: Uint8Array;
}

/** `X509SVIDResponse`. */
export interface SvidResponse {
  readonly svids: readonly Svid[];
  readonly crl: readonly Uint8Array[];
  /** Authorities of other trust domains, by `spiffe://DOMAIN`. */
  readonly federated: ReadonlyMap<string, Uint8Array>;
}

/** Field numbers of workload.proto. */
const RESPONSE = { svids: 1, crl: 2, federated: 3 } as const;
const SVID = { id: 1, certificates: 2, key: 3, bundle: 4 } as const;
const ENTRY = { key: 1, value: 2 } as const;

const NOTHING = new Uint8Array();

/** Reads an `X509SVIDResponse`. Throws where the octets are none. */
export function readSvids(octets: Uint8Array): SvidResponse {
  const svids: Svid[] = [];
  const crl: Uint8Array[] = [];
  const federated = new Map<string, Uint8Array>();
  eachField(octets, (number, value) => {
    if (number === RESPONSE.svids) svids.push(readSvid(value));
    else if (number === RESPONSE.crl) crl.push(value);
    else if (number === RESPONSE.federated) {
      const entry = fieldsOf(value);
      federated.set(textOf(entry.get(ENTRY.key)), entry.get(ENTRY.value) ?? NOTHING);
    }
  });
  return { svids, crl, federated };
}

function readSvid(octets: Uint8Array): Svid {
  const fields = fieldsOf(octets);
  return {
    id: textOf(fields.get(SVID.id)),
    certificates: fields.get(SVID.certificates) ?? NOTHING,
    key: fields.get(SVID.key) ?? NOTHING,
    bundle: fields.get(SVID.bundle) ?? NOTHING,
  };
}

function textOf(octets: Uint8Array | undefined): string {
  return Buffer.from(octets ?? NOTHING).toString("utf8");
}

function fieldsOf(octets: Uint8Array): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  eachField(octets, (number, value) => fields.set(number, value));
  return fields;
}

/** Every field that is a string, octets or a message; all that is read here is one of those. */
function eachField(octets: Uint8Array, visit: (number: number, value: Uint8Array) => void): void {
  readFields(octets, (reader, number, type) => {
    if (type !== WireType.LengthDelimited) return false;
    visit(number, reader.bytes());
    return true;
  });
}
