import { readFile } from "node:fs/promises";
import type { JWK } from "jose";
import type { Logger } from "pino";
import { Backoff } from "../../core/backoff.ts";
import type { Clock, Timer } from "../../core/clock.ts";
import { watchFile } from "../../core/watch-file.ts";
import { httpGet } from "../../net/http-get.ts";
import { MAX_KEY_SET, readKeySet } from "./key-set.ts";

/** Where the keys of a provider are: exactly one of file and url. */
export interface KeyPlace {
  readonly file: string | undefined;
  readonly url: string | undefined;
  /** Milliseconds between two looks at the URL. */
  readonly refresh: number;
  /** Milliseconds for an answer. */
  readonly timeout: number;
  /** The path of a PEM file with the authorities for the URL. */
  readonly ca: string | undefined;
}

/** What fetching keys needs. */
export interface KeyServices {
  readonly clock: Clock;
  readonly log: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Milliseconds between two looks that tokens with unknown keys may cause: whoever makes up key ids does not flood the issuer. */
const ASK_APART = 10_000;

/**
 * The keys of one provider, kept up to date.
 *
 * Invariants: what cannot be had or read changes nothing, the last good keys stay; at most one look is under way; a token with an
 * unknown key causes one no more often than every `ASK_APART`.
 */
export class KeySource {
  /** Undefined before the first good answer. */
  keys: readonly JWK[] | undefined = undefined;
  /** Why there are no newer ones; undefined while there are. */
  problem: string | undefined = undefined;
  /** Milliseconds of the clock since when. */
  staleSince: number | undefined = undefined;
  private readonly name: string;
  private readonly place: KeyPlace;
  private readonly services: KeyServices;
  private readonly changed: () => void;
  private readonly backoff: Backoff;
  private readonly stopped = new AbortController();
  private readonly stopWatch: () => void;
  private timer: Timer | undefined = undefined;
  private look: Promise<void> | undefined = undefined;
  private askedAt = Number.NEGATIVE_INFINITY;
  private text: string | undefined = undefined;
  /** The authorities by which the URL was asked last. */
  private authority: string | undefined = undefined;

  /** `name`: the provider's. `changed`: keys have come, or other ones. */
  constructor(name: string, place: KeyPlace, services: KeyServices, changed: () => void) {
    this.name = name;
    this.place = place;
    this.services = services;
    this.changed = changed;
    this.backoff = new Backoff({ base: 1000, cap: 60_000, random: services.random });
    const { file, ca } = place;
    const { clock } = services;
    if (file !== undefined) this.stopWatch = watchFile(file, clock, () => void this.refresh());
    else if (ca !== undefined) this.stopWatch = watchFile(ca, clock, () => void this.authorityChanged(ca));
    else this.stopWatch = () => {};
    void this.refresh();
  }

  /** Looks for other keys since a token names one that is not known; undefined where it is too soon to look again. */
  ask(): Promise<void> | undefined {
    const now = this.services.clock.now();
    if (this.look !== undefined) return this.look;
    if (this.stopped.signal.aborted || now - this.askedAt < ASK_APART) return undefined;
    this.askedAt = now;
    return this.refresh();
  }

  /** Resolves when the look is over, whatever it came to. */
  refresh(): Promise<void> {
    this.look ??= this.load().finally(() => {
      this.look = undefined;
    });
    return this.look;
  }

  async close(): Promise<void> {
    this.stopped.abort();
    this.stopWatch();
    this.timer?.cancel();
    await this.look;
  }

  /** The URL is asked again where the file has another text, and not whenever it may have. */
  private async authorityChanged(ca: string): Promise<void> {
    const text = await readFile(ca, "utf8").catch(() => undefined);
    if (text !== this.authority) await this.refresh();
  }

  private async load(): Promise<void> {
    this.timer?.cancel();
    try {
      const text = await this.read();
      const keys = readKeySet(text);
      if (typeof keys === "string") throw new Error(keys);
      if (!this.stopped.signal.aborted) this.take(text, keys);
    } catch (error) {
      if (!this.stopped.signal.aborted) this.failed(error instanceof Error ? error.message : String(error));
    }
  }

  private async read(): Promise<string> {
    const { file, url, timeout, ca } = this.place;
    if (url === undefined) return await readFile(file ?? "", "utf8");
    const { signal } = this.stopped;
    this.authority = undefined;
    if (ca !== undefined) this.authority = await readFile(ca, "utf8");
    return await httpGet(url, this.services.clock, { timeout, limit: MAX_KEY_SET, ca: this.authority, signal });
  }

  private take(text: string, keys: readonly JWK[]): void {
    const { log, random } = this.services;
    if (this.problem !== undefined) log.info({ provider: this.name }, "the keys of a provider can be had again");
    this.problem = undefined;
    this.staleSince = undefined;
    this.backoff.reset();
    const isNews = text !== this.text;
    this.text = text;
    this.keys = keys;
    if (isNews) {
      log.info({ provider: this.name, keys: keys.length }, "a provider has its keys");
      this.changed();
    }
    // Spread, so that many sidecars do not ask together.
    this.again(this.place.refresh * (0.9 + 0.2 * random()));
  }

  private failed(why: string): void {
    const { log, clock } = this.services;
    const isNews = this.problem !== why;
    this.problem = why;
    this.staleSince ??= clock.now();
    const kept = this.keys === undefined ? "its tokens cannot be verified" : "the last ones stay";
    if (isNews) log.warn({ provider: this.name }, `the keys of a provider cannot be had, ${kept}: ${why}`);
    this.again(1000 + this.backoff.next());
  }

  private again(ms: number): void {
    if (this.place.url === undefined || this.stopped.signal.aborted) return;
    this.timer = this.services.clock.setTimer(ms, () => void this.refresh());
  }
}
