import type { JWK, JWTPayload } from "jose";
import type { Clock } from "../../core/clock.ts";
import type { Algorithm } from "./algorithms.ts";
import type { KeySource } from "./key-source.ts";
import { readToken, type TokenParts } from "./token-parts.ts";

/** Whose tokens are believed, and which of them. */
export interface TokenRules {
  readonly issuer: string;
  /** A token has to be for one of them; empty: for anybody. */
  readonly audiences: readonly string[];
  readonly algorithms: readonly Algorithm[];
  /** Milliseconds by which clocks may differ. */
  readonly clockSkew: number;
}

/** What a token came to. */
export type TokenVerdict =
  | { readonly kind: "verified"; readonly provider: string; readonly claims: JWTPayload; readonly until: number }
  /** `lasting`: the same token will not be good later, unless there are other keys. */
  | { readonly kind: "invalid" | "expired"; readonly why: string; readonly lasting: boolean }
  /** Nobody knows: the keys cannot be had. */
  | { readonly kind: "unknown"; readonly why: string };

interface Provider {
  readonly rules: TokenRules;
  readonly keys: KeySource;
}

/** How often keys are fetched for one token before it counts as invalid. */
const LOOKS = 1;

/** Verifies tokens by the keys of their issuers. Texts never hold a part of a token. */
export class TokenVerifier {
  private readonly byIssuer: ReadonlyMap<string, readonly [name: string, provider: Provider]>;
  private readonly clock: Clock;

  constructor(providers: ReadonlyMap<string, Provider>, clock: Clock) {
    this.byIssuer = new Map([...providers].map((entry) => [entry[1].rules.issuer, entry]));
    this.clock = clock;
  }

  /** Never rejects. */
  async verify(token: string): Promise<TokenVerdict> {
    const parts = readToken(token);
    if (typeof parts === "string") return invalid(parts);
    const [name, provider] = this.byIssuer.get(parts.issuer) ?? [];
    if (name === undefined || provider === undefined) return invalid("it is of another issuer");
    const { rules, keys } = provider;
    if (!rules.algorithms.some((known) => known === parts.algorithm)) return invalid("its algorithm is not accepted");
    for (let looks = 0; ; looks++) {
      const candidates = keys.keys === undefined ? [] : keysFor(parts, keys.keys);
      if (candidates.length > 0) return await this.check(token, name, rules, candidates);
      const look = looks < LOOKS ? keys.ask() : undefined;
      if (look === undefined) break;
      await look;
    }
    if (keys.keys === undefined) return { kind: "unknown", why: `the keys of ${name} cannot be had: ${keys.problem}` };
    return { kind: "invalid", why: "it is signed by an unknown key", lasting: false };
  }

  private async check(
    token: string,
    provider: string,
    rules: TokenRules,
    candidates: readonly JWK[],
  ): Promise<TokenVerdict> {
    const { jwtVerify, errors } = await import("jose");
    const { issuer, audiences, algorithms, clockSkew } = rules;
    const options = {
      issuer,
      algorithms: [...algorithms],
      clockTolerance: clockSkew / 1000,
      currentDate: new Date(this.clock.wall()),
      requiredClaims: ["exp"],
      ...(audiences.length === 0 ? {} : { audience: [...audiences] }),
    };
    let verdict: TokenVerdict = invalid("its signature is wrong");
    for (const jwk of candidates) {
      try {
        const { payload: claims } = await jwtVerify(token, jwk, options);
        const until = (claims.exp ?? 0) * 1000 + clockSkew;
        return { kind: "verified", provider, claims, until };
      } catch (error) {
        if (error instanceof errors.JWTExpired) return { kind: "expired", why: "it has expired", lasting: true };
        if (error instanceof errors.JWTClaimValidationFailed) return claimFault(error.claim);
        if (error instanceof errors.JWSSignatureVerificationFailed) continue;
        verdict = invalid("it cannot be verified");
      }
    }
    return verdict;
  }
}

/** The keys that may have signed a token: of its key id where it names one, and for its algorithm (RFC 7517 §4). */
function keysFor({ keyId, algorithm }: TokenParts, keys: readonly JWK[]): readonly JWK[] {
  return keys.filter(
    (key) =>
      (keyId === undefined || key.kid === keyId) &&
      (key.alg === undefined || key.alg === algorithm) &&
      (key.key_ops === undefined || key.key_ops.includes("verify")) &&
      fits(key, algorithm),
  );
}

const curves: Readonly<Record<string, string>> = { ES256: "P-256", ES384: "P-384", ES512: "P-521", EdDSA: "Ed25519" };

function fits({ kty, crv }: JWK, algorithm: string): boolean {
  return curves[algorithm] === undefined ? kty === "RSA" : crv === curves[algorithm];
}

function claimFault(claim: string): TokenVerdict {
  const why: Readonly<Record<string, string>> = {
    aud: "it is for somebody else",
    nbf: "it is not valid yet",
    exp: "it does not say when it expires",
    iss: "it is of another issuer",
  };
  // The time comes when it is valid.
  return { kind: "invalid", why: why[claim] ?? `its claim ${claim} is wrong`, lasting: claim !== "nbf" };
}

function invalid(why: string): TokenVerdict & { readonly kind: "invalid" } {
  return { kind: "invalid", why, lasting: true };
}
