import type { Endpoint } from "../endpoint.ts";

/**
 * Consistent hashing with bounded loads (Mirrokni 2016): an endpoint that has more calls under way than so many times its share
 * gives the next ones away, so that a key that everybody asks for does not fall on one endpoint alone.
 */
export class LoadBound {
  private readonly endpoints: readonly Endpoint[];
  /** Above 1, so that somebody always has room. */
  private readonly factor: number;
  private readonly weights: number;
  private calls = 0;

  constructor(endpoints: readonly Endpoint[], factor: number) {
    this.endpoints = endpoints;
    this.factor = factor;
    this.weights = endpoints.reduce((sum, { weight }) => sum + weight, 0);
  }

  /** A call is about to go somewhere: how many there are with it. */
  begin(): void {
    this.calls = 1;
    for (const { inFlight } of this.endpoints) this.calls += inFlight;
  }

  isFull({ inFlight, weight }: Endpoint): boolean {
    return inFlight >= Math.ceil((this.factor * this.calls * weight) / this.weights);
  }
}
