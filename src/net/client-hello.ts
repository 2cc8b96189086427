/** What the first octets of a connection by TLS say of the server that it is for. */
export type HelloName =
  /** More octets decide. */
  | { readonly kind: "open" }
  /** Lower case, without a dot at its end. */
  | { readonly kind: "name"; readonly name: string }
  /** It names none, or is no ClientHello that could be read. */
  | { readonly kind: "none"; readonly why: string };

/** RFC 8446 §5.1 and §4. */
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
/** RFC 6066 §3. */
const SERVER_NAME = 0;
const HOST_NAME = 0;
const RECORD_HEADER = 5;
const MAX_RECORD = 16_384;
/** Octets of a ClientHello that are read; those of browsers with post-quantum keys have some 2 KiB. */
export const MAX_HELLO = 16_384;

/** A DNS name as TLS has it: no address, no dot at the end. */
const NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/;

/** Records of one ClientHello; a client that makes more of it wants to be read again and again. */
const MAX_RECORDS = 32;

/**
 * Reads the server's name out of a ClientHello (RFC 6066 §3), which may come in several records and several pieces. A pure function of
 * everything that has come so far; it never reads beyond what lengths say, and asks for no more than `MAX_HELLO` octets.
 */
export function serverNameOf(octets: Buffer): HelloName {
  const pieces: Buffer[] = [];
  let have = 0;
  let need = 4;
  for (let at = 0; have < need; ) {
    if (at >= octets.length) return OPEN;
    if (pieces.length >= MAX_RECORDS) return none("it comes in too many records");
    if (octets[at] !== HANDSHAKE) return none("a record is no handshake");
    if (at + RECORD_HEADER > octets.length) return OPEN;
    if (octets[at + 1] !== 3) return none("the version of a record is none of TLS");
    const length = octets.readUInt16BE(at + 3);
    if (length === 0 || length > MAX_RECORD) return none("the length of a record is impossible");
    const piece = octets.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    pieces.push(piece);
    have += piece.length;
    at += RECORD_HEADER + length;
    if (have < 4) continue;
    const head = Buffer.concat(pieces, 4);
    if (head[0] !== CLIENT_HELLO) return none("the handshake does not begin with a ClientHello");
    need = 4 + head.readUIntBE(1, 3);
    if (need > MAX_HELLO) return none("the ClientHello is too large");
  }
  return nameIn(new Reader(Buffer.concat(pieces).subarray(4, need)));
}

/** The body of a ClientHello: RFC 8446 §4.1.2; that of TLS 1.2 has the same form. */
function nameIn(hello: Reader): HelloName {
  hello.skip(2 + 32);
  hello.skip(hello.number(1));
  hello.skip(hello.number(2));
  hello.skip(hello.number(1));
  if (hello.left === 0) return none("there are no extensions");
  const extensions = hello.part(hello.number(2));
  while (extensions.left > 0) {
    const type = extensions.number(2);
    const content = extensions.part(extensions.number(2));
    if (type !== SERVER_NAME) continue;
    const list = content.part(content.number(2));
    while (list.left > 0) {
      const kind = list.number(1);
      const name = list.part(list.number(2)).text();
      if (kind === HOST_NAME) return named(name);
    }
  }
  return none("it names no server");
}

function named(text: string): HelloName {
  const name = text.toLowerCase();
  if (!NAME.test(name)) return none("the name is malformed");
  return { kind: "name", name: name.endsWith(".") ? name.slice(0, -1) : name };
}

const OPEN: HelloName = { kind: "open" };

function none(why: string): HelloName {
  return { kind: "none", why };
}

/** Takes octets off the front. Of what a length promises and is not there nothing is left: the message ends with it. */
class Reader {
  private rest: Buffer;

  constructor(octets: Buffer) {
    this.rest = octets;
  }

  get left(): number {
    return this.rest.length;
  }

  part(size: number): Reader {
    return new Reader(this.take(size));
  }

  skip(size: number): void {
    this.take(size);
  }

  number(size: number): number {
    const taken = this.take(size);
    return taken.length === 0 ? 0 : taken.readUIntBE(0, size);
  }

  text(): string {
    return this.rest.toString("latin1");
  }

  private take(size: number): Buffer {
    const isThere = size <= this.rest.length;
    const taken = this.rest.subarray(0, isThere ? size : 0);
    this.rest = this.rest.subarray(isThere ? size : this.rest.length);
    return taken;
  }
}
