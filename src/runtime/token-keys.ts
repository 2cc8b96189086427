import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/types.ts";
import { type KeyPlace, KeySource } from "../identity/jwt/key-source.ts";
import { TokenVerifier } from "../identity/jwt/verifier.ts";
import type { Waiting } from "./readiness.ts";
import type { ProcessServices } from "./services.ts";

interface Held {
  readonly place: KeyPlace;
  readonly keys: KeySource;
}

/** The keys of the providers of a configuration. Those whose place did not change are the same over every reload. */
export class TokenKeys {
  private readonly services: ProcessServices;
  private readonly held = new Map<string, Held>();
  private readonly since: string;
  private config: Config["jwt"] = undefined;

  constructor(services: ProcessServices) {
    this.services = services;
    this.since = new Date(services.clock.wall()).toISOString();
  }

  apply(jwt: Config["jwt"]): void {
    if (isDeepStrictEqual(jwt, this.config)) return;
    this.config = jwt;
    const { clock, log, random, tokens } = this.services;
    for (const [name, { place, keys }] of this.held) {
      if (isDeepStrictEqual(place, jwt?.providers.get(name)?.keys)) continue;
      this.held.delete(name);
      void keys.close();
    }
    const providers = [...(jwt?.providers ?? [])].map(([name, rules]) => {
      const place = rules.keys;
      const held = this.held.get(name) ?? {
        place,
        keys: new KeySource(name, place, { clock, log: log.logger, random }, () => tokens.forget()),
      };
      this.held.set(name, held);
      return [name, { rules, keys: held.keys }] as const;
    });
    const verifier = new TokenVerifier(new Map(providers), clock);
    tokens.verify = (token) => verifier.verify(token);
  }

  /** Every provider with its keys. */
  *all(): IterableIterator<readonly [provider: string, keys: KeySource]> {
    for (const [name, { keys }] of this.held) yield [name, keys];
  }

  /** Why calls that need a token cannot be taken yet. */
  get waiting(): Waiting | undefined {
    if (this.config === undefined) return undefined;
    const { rules } = this.config;
    const isNeeded =
      rules.every(({ methods }) => methods !== undefined) || rules.some(({ need }) => need === "required");
    const missing = isNeeded ? [...this.all()].filter(([, { keys }]) => keys === undefined) : [];
    if (missing.length === 0) return undefined;
    const why = missing.map(([name, { problem }]) => `${name}: ${problem ?? "no answer yet"}`).join("; ");
    return { what: "jwt keys", since: this.since, detail: `tokens cannot be verified yet: ${why}` };
  }

  /** What people should know although calls are taken. */
  get warning(): string | undefined {
    const stale = [...this.all()].filter(([, { keys, problem }]) => keys !== undefined && problem !== undefined);
    if (stale.length === 0) return undefined;
    return stale.map(([name, { problem }]) => `the keys of ${name} are the last good ones: ${problem}`).join("; ");
  }

  /** For people; null where tokens are not looked at. */
  describe(): {
    providers: { name: string; keys: number | null; lastError: string | null }[];
    results: Readonly<Record<string, number>>;
  } | null {
    if (this.config === undefined) return null;
    const providers = [...this.all()].map(([name, { keys, problem }]) => ({
      name,
      keys: keys?.length ?? null,
      lastError: problem ?? null,
    }));
    return { providers, results: { ...this.services.tokens.counts } };
  }

  async close(): Promise<void> {
    await Promise.all([...this.held.values()].map(({ keys }) => keys.close()));
  }
}
