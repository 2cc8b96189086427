import { type Client, type ClientOptions, type ServiceError, status } from "@grpc/grpc-js";
import { counterService } from "./counting-service.ts";
import { grpcClient } from "./grpc-service.ts";

/** A call that failed. */
export interface FailedCall {
  readonly id: string;
  /** The name of its gRPC status. */
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  /** Milliseconds since the caller began. */
  readonly at: number;
}

/** A plain gRPC client that makes calls that must not be executed twice, and does nothing by itself when one fails. */
export class CountingCaller {
  readonly failed: FailedCall[] = [];
  /** Identities of the calls that were answered. */
  readonly answered: string[] = [];
  inFlight = 0;
  /** Milliseconds that the slowest call took, whatever became of it. */
  slowest = 0;
  private readonly name: string;
  private readonly client: Client;
  private readonly began = performance.now();
  private made = 0;
  private readonly idle: (() => void)[] = [];

  constructor(name: string, address: string, upstream: string, options: ClientOptions = {}) {
    this.name = name;
    this.client = grpcClient(address, upstream, options);
  }

  get calls(): number {
    return this.made;
  }

  /** Makes one call; resolves when it is over, however that was. */
  call(timeout = 20_000): Promise<void> {
    const id = `${this.name}-${this.made++}`;
    const { add } = counterService;
    this.inFlight++;
    const began = performance.now();
    return new Promise((resolve) => {
      const done = (error: ServiceError | null): void => {
        this.inFlight--;
        this.slowest = Math.max(this.slowest, performance.now() - began);
        if (error === null) this.answered.push(id);
        else this.failed.push(this.failure(id, error));
        if (this.inFlight === 0) for (const tell of this.idle.splice(0)) tell();
        resolve();
      };
      const deadline = Date.now() + timeout;
      this.client.makeUnaryRequest(
        add.path,
        add.requestSerialize,
        add.responseDeserialize,
        Buffer.from(id),
        { deadline },
        done,
      );
    });
  }

  /** Makes `count` calls, `concurrency` at a time. */
  async make(count: number, concurrency: number): Promise<void> {
    const end = this.made + count;
    const worker = async (): Promise<void> => {
      while (this.made < end) await this.call();
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
  }

  /** Makes `rate` calls a second, whatever becomes of them, until the function that it returns is called. */
  pace(rate: number): () => void {
    const began = performance.now();
    let made = 0;
    const timer = setInterval(() => {
      const due = ((performance.now() - began) / 1000) * rate;
      for (; made < due; made++) void this.call();
    }, 5);
    return () => clearInterval(timer);
  }

  /** Resolves when no call is under way. */
  async settled(): Promise<void> {
    if (this.inFlight > 0) await new Promise<void>((resolve) => this.idle.push(resolve));
  }

  close(): void {
    this.client.close();
  }

  private failure(id: string, error: ServiceError): FailedCall {
    const reason = String(error.metadata.get("outrigger-reason")[0] ?? "");
    const at = Math.round(performance.now() - this.began);
    return { id, status: status[error.code] ?? String(error.code), reason, message: error.details, at };
  }
}
