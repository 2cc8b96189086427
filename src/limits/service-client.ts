import type { Client } from "@grpc/grpc-js";
import type { Clock } from "../core/clock.ts";
import type { RateLimitAnswer, RateLimitQuestion } from "./rate-limit-messages.ts";

const SHOULD_RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";

interface Parts {
  readonly client: Client;
  readonly messages: typeof import("./rate-limit-messages.ts");
}

/** A client of Envoy's rate limit service protocol. The gRPC library is loaded when the first limit wants it. */
export class ServiceClient {
  private readonly clock: Clock;
  private readonly parts: Promise<Parts>;

  constructor(address: string, clock: Clock) {
    this.clock = clock;
    this.parts = load(address);
  }

  /** Rejects where the service does not answer within `timeout` milliseconds, or answers nonsense. */
  async ask(question: RateLimitQuestion, timeout: number): Promise<RateLimitAnswer> {
    const { client, messages } = await this.parts;
    const deadline = this.clock.wall() + timeout;
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        SHOULD_RATE_LIMIT,
        messages.encodeQuestion,
        messages.decodeAnswer,
        question,
        { deadline },
        (error, answer) => {
          if (answer === undefined) reject(error ?? new Error("the rate limit service gave no answer"));
          else resolve(answer);
        },
      );
    });
  }

  async close(): Promise<void> {
    (await this.parts).client.close();
  }
}

async function load(address: string): Promise<Parts> {
  const [grpc, messages] = await Promise.all([import("@grpc/grpc-js"), import("./rate-limit-messages.ts")]);
  return { client: new grpc.Client(address, grpc.credentials.createInsecure()), messages };
}
