import { createHash, timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";
import type { Server, TLSSocket } from "node:tls";
import type { Logger } from "pino";
import type { Clock, Timer } from "../core/clock.ts";
import { type AdminAccess, type AdminMaterial, AdminSecrets } from "./admin-secrets.ts";
import { type HttpAnswer, type HttpRequest, problem } from "./http-answer.ts";

/** Milliseconds for a TLS handshake. */
const HANDSHAKE = 10_000;
/** Milliseconds between two lines of the log about refusals. */
const QUIET = 10_000;

/** How a browser is told to ask for the token. */
const CHALLENGE = { "www-authenticate": 'Basic realm="outrigger: any name, the token as password", charset="UTF-8"' };

/**
 * Lets those ask the admin listener who can prove that they may: by a token, by a certificate, or both where both are configured.
 *
 * Invariants: where a certificate is wanted no request is read of a connection without a verified one; connections that were let in by other
 * files than those in force are closed before another request of them is answered.
 */
export class AdminGate {
  private readonly secrets: AdminSecrets;
  private readonly clock: Clock;
  private readonly log: Logger;
  private server: { readonly of: AdminMaterial["tls"]; readonly tls: Server } | undefined = undefined;
  /** Connections that are let in. */
  private readonly admitted = new Set<Socket>();
  /** By who is at the other end: of what they become only that is known. */
  private readonly handshakes = new Map<string, { readonly timer: Timer; readonly take: (socket: Socket) => void }>();
  private toldAt = -QUIET;
  private untold = 0;

  constructor(access: () => AdminAccess, clock: Clock, log: Logger) {
    this.secrets = new AdminSecrets(access, clock, (message) => log.warn(message));
    this.clock = clock;
    this.log = log;
  }

  /** Rejects where a file cannot be used. */
  async prepare(): Promise<void> {
    this.serverOf(await this.secrets.current());
  }

  /** Hands a connection on as soon as it may be read: at once, or once its TLS handshake is over. */
  take(socket: Socket, take: (socket: Socket) => void): void {
    socket.on("error", () => {});
    socket.pause();
    this.secrets.current().then(
      (material) => {
        const server = this.serverOf(material);
        if (server === undefined) this.admit(socket, take);
        else this.handshake(socket, server, take);
      },
      (error: unknown) => {
        this.log.error({ err: error }, "admin: a connection was refused");
        socket.destroy();
      },
    );
  }

  /** Why a request is not answered; undefined where it is. */
  async refusal({ headers, remoteAddress }: HttpRequest): Promise<HttpAnswer | undefined> {
    let material: AdminMaterial;
    try {
      material = await this.secrets.current();
      this.serverOf(material);
    } catch (error) {
      return problem(503, error instanceof Error ? error.message : String(error));
    }
    const { token } = material;
    if (token === undefined || isToken(headers.authorization, token)) return undefined;
    this.tell(remoteAddress);
    const why = headers.authorization === undefined ? "this needs the token of admin.token" : "this is not the token";
    return problem(401, `${why}: Authorization: Bearer TOKEN`, CHALLENGE);
  }

  private handshake(socket: Socket, server: Server, take: (socket: Socket) => void): void {
    const key = ends(socket);
    const timer = this.clock.setTimer(HANDSHAKE, () => socket.destroy());
    this.handshakes.set(key, { timer, take });
    socket.once("close", () => {
      timer.cancel();
      this.handshakes.delete(key);
    });
    server.emit("connection", socket);
  }

  /** A server that listens nowhere: connections are handed to it. */
  private serverOf({ tls }: AdminMaterial): Server | undefined {
    if (tls === this.server?.of) return this.server?.tls;
    for (const socket of this.admitted) socket.destroy();
    this.server = undefined;
    if (tls === undefined) return undefined;
    const { createServer } = process.getBuiltinModule("node:tls");
    const { constants } = process.getBuiltinModule("node:crypto");
    const wanted = tls.clientCa !== undefined;
    const made = createServer({
      cert: tls.cert,
      key: tls.key,
      ...(wanted ? { ca: tls.clientCa } : {}),
      requestCert: wanted,
      rejectUnauthorized: wanted,
      minVersion: "TLSv1.3",
      ALPNProtocols: ["http/1.1"],
      // Nobody is let in by what was verified before.
      secureOptions: constants.SSL_OP_NO_TICKET,
      // The gate's own clock bounds handshakes.
      handshakeTimeout: 2 ** 31 - 1,
    });
    made.on("secureConnection", (socket) => this.finish(socket, wanted));
    made.on("tlsClientError", (error, socket) => {
      this.log.debug({ peer: socket.remoteAddress, why: error.message }, "admin: a TLS handshake failed");
      socket.destroy();
    });
    this.server = { of: tls, tls: made };
    return made;
  }

  private finish(socket: TLSSocket, wanted: boolean): void {
    const entry = this.handshakes.get(ends(socket));
    // A resumed session without a certificate counts as authorized for Node (nodejs/node#64584).
    if (entry === undefined || (wanted && socket.getPeerX509Certificate() === undefined)) {
      socket.destroy();
      return;
    }
    entry.timer.cancel();
    this.admit(socket, entry.take);
  }

  private admit(socket: Socket, take: (socket: Socket) => void): void {
    this.admitted.add(socket);
    socket.once("close", () => this.admitted.delete(socket));
    take(socket);
  }

  private tell(peer: string | undefined): void {
    this.untold++;
    const now = this.clock.now();
    if (now - this.toldAt < QUIET) return;
    this.toldAt = now;
    this.log.warn({ peer, requests: this.untold }, "admin: requests without the token were refused");
    this.untold = 0;
  }
}

function ends({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** Whether `Authorization` has the token, compared in a time that does not depend on how much of it is right. */
function isToken(authorization: string | undefined, token: string): boolean {
  const [, scheme = "", value = ""] = /^(bearer|basic) +(\S+) *$/i.exec(authorization ?? "") ?? [];
  if (scheme === "") return false;
  const said = scheme.toLowerCase() === "bearer" ? value : password(value);
  return timingSafeEqual(digest(said), digest(token));
}

/** The password of Basic credentials (RFC 7617). */
function password(credentials: string): string {
  const text = Buffer.from(credentials, "base64").toString("utf8");
  return text.slice(text.indexOf(":") + 1);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
