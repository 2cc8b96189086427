import { Counter, Gauge, type Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import type { Tokens } from "../filters/jwt/tokens.ts";
import type { TokenKeys } from "./token-keys.ts";

/** Registers what came of tokens, and how old the keys for them are. */
export function registerTokenMetrics(registry: Registry, tokens: Tokens, keys: TokenKeys, clock: Clock): void {
  new Counter({
    name: "outrigger_jwt_calls_total",
    help: "Inbound calls by what came of their token: verified (known: of them, by a token that had been verified before), missing where one is required, invalid, expired, unknown (no keys), busy.",
    labelNames: ["result"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [result, count] of Object.entries(tokens.counts)) this.inc({ result }, count);
    },
  });
  new Gauge({
    name: "outrigger_jwt_keys",
    help: "Public keys that are known of a provider of tokens.",
    labelNames: ["provider"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [provider, source] of keys.all()) this.set({ provider }, source.keys?.length ?? 0);
    },
  });
  new Gauge({
    name: "outrigger_jwt_keys_stale_seconds",
    help: "For how long the keys of a provider of tokens could not be had; 0 while they can.",
    labelNames: ["provider"],
    registers: [registry],
    collect() {
      this.reset();
      for (const [provider, { staleSince }] of keys.all())
        this.set({ provider }, staleSince === undefined ? 0 : (clock.now() - staleSince) / 1000);
    },
  });
}
