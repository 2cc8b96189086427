import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { KeyPair } from "../../src/identity/make-certificate.ts";
import type { TestCa } from "./certificates.ts";

/** How an attempt at a TLS connection ended. */
export interface TlsAttempt {
  /** HTTP/2 has begun: the server's SETTINGS came. */
  readonly spoken: boolean;
  readonly resumed: boolean;
  /** The last session that the server gave. */
  readonly session: Buffer | undefined;
  readonly error: string | undefined;
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "latin1");

/** Connects as a plain TLS client, speaks HTTP/2's preface, and goes away once the server has answered or closed. */
export function tryTls(
  address: string,
  ca: TestCa,
  own: KeyPair | undefined,
  more: ConnectionOptions = {},
): Promise<TlsAttempt> {
  const [host = "", port = ""] = address.split(":");
  const certificate = own === undefined ? {} : { cert: own.certificate, key: own.key };
  const socket: TLSSocket = connect({
    host,
    port: Number(port),
    ca: ca.pem,
    ...certificate,
    ALPNProtocols: ["h2"],
    checkServerIdentity: () => undefined,
    ...more,
  });
  socket.setTimeout(10_000, () => socket.destroy(new Error("no end within 10 s")));
  let session: Buffer | undefined;
  let resumed = false;
  let spoken = false;
  let error: string | undefined;
  socket.on("session", (found) => {
    session = found;
  });
  return new Promise((resolve) => {
    socket.once("secureConnect", () => {
      resumed = socket.isSessionReused();
      socket.write(PREFACE);
    });
    socket.on("data", () => {
      spoken = true;
      socket.end();
    });
    socket.on("error", (found) => {
      error ??= "code" in found && typeof found.code === "string" ? found.code : found.message;
    });
    socket.once("close", () => resolve({ spoken, resumed, session, error }));
  });
}
