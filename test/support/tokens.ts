import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";

export const ISSUER = "https://accounts.test";

/** Somebody who signs tokens. */
export class Issuer {
  readonly algorithm: string;
  readonly keyId: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;

  private constructor(algorithm: string, keyId: string, privateKey: CryptoKey, jwk: JWK) {
    this.algorithm = algorithm;
    this.keyId = keyId;
    this.privateKey = privateKey;
    this.jwk = jwk;
  }

  static async make(keyId: string, algorithm = "ES256"): Promise<Issuer> {
    const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
    const jwk = await exportJWK(publicKey);
    return new Issuer(algorithm, keyId, privateKey, { ...jwk, kid: keyId, alg: algorithm, use: "sig" });
  }

  /** A token that is good for a minute, unless the claims say something else; `undefined` leaves one out. */
  async sign(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}): Promise<string> {
    const now = Math.floor(Date.now() / 1000);
    const all = { iss: ISSUER, sub: "ann", aud: "up", exp: now + 60, ...claims };
    return await new SignJWT(JSON.parse(JSON.stringify(all)) as JWTPayload)
      .setProtectedHeader({ alg: this.algorithm, kid: this.keyId, ...header })
      .sign(this.privateKey);
  }
}

/** A key set as text. */
export function keySet(...issuers: readonly Issuer[]): string {
  return JSON.stringify({ keys: issuers.map(({ jwk }) => jwk) });
}

/** A token made of any parts, which nobody has signed. */
export function forged(header: unknown, claims: unknown, signature = "c2ln"): string {
  const encoded = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
  return [...encoded, signature].join(".");
}

/** Serves a key set. */
export class KeyServer {
  readonly url: string;
  /** How often it was asked. */
  asked = 0;
  text: string;
  /** hang: it takes the question and says nothing, until `wake`. */
  mode: "answer" | "fail" | "hang" | "redirect" = "answer";
  private readonly server: Server;
  private readonly hanging: (() => void)[] = [];

  private constructor(server: Server, text: string) {
    this.server = server;
    this.text = text;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`;
    server.on("request", (_request, response) => {
      this.asked++;
      if (this.mode === "hang") {
        this.hanging.push(() => response.end(this.text));
        return;
      }
      if (this.mode === "redirect") response.writeHead(302, { location: this.url }).end();
      else response.writeHead(this.mode === "fail" ? 503 : 200).end(this.text);
    });
  }

  static async start(text: string): Promise<KeyServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new KeyServer(server, text);
  }

  /** Answers what it has not answered. */
  wake(): void {
    this.mode = "answer";
    for (const answer of this.hanging.splice(0)) answer();
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
