import type { Clock } from "../core/clock.ts";
import type { Scrape } from "../observability/metrics.ts";

/** A scrape, encoded once for everybody who gets it. */
export interface SharedScrape {
  readonly contentType: string;
  readonly body: Buffer;
}

/** A scrape is given again for this many times what it took, … */
const REST = 10;
/** … but for no longer than this many milliseconds, and after that not kept. */
const LONGEST = 1000;

/**
 * Scrapes for a port that anybody may ask: those who ask at the same time share one, and however many ask, rendering takes
 * at most an eleventh of the CPU. A scrape that took 1 ms is 10 ms old at most.
 */
export class ScrapeShare {
  private readonly render: () => Promise<Scrape>;
  private readonly clock: Clock;
  private current: Promise<SharedScrape> | undefined = undefined;

  constructor(render: () => Promise<Scrape>, clock: Clock) {
    this.render = render;
    this.clock = clock;
  }

  get(): Promise<SharedScrape> {
    this.current ??= this.make();
    return this.current;
  }

  private async make(): Promise<SharedScrape> {
    const began = this.clock.now();
    const forget = (): void => {
      this.current = undefined;
    };
    try {
      const { contentType, text } = await this.render();
      const took = this.clock.now() - began;
      this.clock.setTimer(Math.min(LONGEST, took * REST), forget);
      return { contentType, body: Buffer.from(text) };
    } catch (error) {
      forget();
      throw error;
    }
  }
}
