import type { Client, ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { counterService } from "./counting-service.ts";
import { grpcClient } from "./grpc-service.ts";

/** Streams on one connection of their caller; a server allows 100 to 1,000. */
const A_CONNECTION = 50;

/** A stream that a test holds open: what it says comes back. */
class OpenStream {
  /** How it ended; undefined while it has not. */
  end: string | undefined = undefined;
  private readonly stream: ClientDuplexStream<Buffer, Buffer>;
  private heard: ((message: string) => void) | undefined = undefined;
  readonly ended: Promise<void>;

  constructor(client: Client) {
    const { path, requestSerialize, responseDeserialize } = counterService.hold;
    this.stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.stream.on("data", (message: Buffer) => this.heard?.(message.toString()));
    this.ended = new Promise((resolve) => {
      const over = (how: string): void => {
        this.end ??= how;
        this.heard?.(this.end);
        resolve();
      };
      this.stream.on("error", (error: ServiceError) =>
        over(`${error.code} ${String(error.metadata.get("outrigger-reason")[0] ?? "")} ${error.details}`),
      );
      this.stream.on("end", () => over("ended"));
    });
  }

  /** Says something and waits for it to come back; gives what came instead, where that is something else. */
  async echo(message: string): Promise<string | undefined> {
    if (this.end !== undefined) return this.end;
    const answer = await new Promise<string>((resolve) => {
      this.heard = resolve;
      this.stream.write(Buffer.from(message));
    });
    this.heard = undefined;
    return answer === message ? undefined : answer;
  }

  async close(): Promise<void> {
    this.stream.end();
    await this.ended;
  }
}

/** Many streams of a counting application that stay open, and are used all the while. */
export class OpenStreams {
  /** What came instead of an echo, by stream. */
  readonly broken = new Map<number, string>();
  echoes = 0;
  private readonly clients: readonly Client[];
  private readonly streams: readonly OpenStream[];

  constructor(count: number, address: string, upstream: string) {
    const connections = Math.ceil(count / A_CONNECTION);
    this.clients = Array.from({ length: connections }, () => grpcClient(address, upstream));
    this.streams = Array.from({ length: count }, (_, at) => {
      const client = this.clients[at % connections];
      if (client === undefined) throw new Error("a stream without a connection");
      return new OpenStream(client);
    });
  }

  /** Uses every stream once. */
  async round(): Promise<void> {
    await Promise.all(
      this.streams.map(async (stream, at) => {
        const wrong = await stream.echo(`${at}-${this.echoes}`);
        if (wrong === undefined) this.echoes++;
        else this.broken.set(at, wrong);
      }),
    );
  }

  /** Ends every stream in good order; gives how many did not end so. */
  async close(): Promise<number> {
    await Promise.all(this.streams.map((stream) => stream.close()));
    return this.streams.filter(({ end }) => end !== "ended").length;
  }

  /** Frees what is left. */
  destroy(): void {
    for (const client of this.clients) client.close();
  }
}
