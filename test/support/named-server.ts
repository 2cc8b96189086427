import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { GrpcServer, grpcClient, testService } from "./grpc-service.ts";
import type { Scope } from "./with-proxy.ts";

/** A gRPC server that answers with its name, and counts the calls that it has answered. */
export class NamedServer {
  readonly name: string;
  calls = 0;
  private inner: GrpcServer | undefined = undefined;

  private constructor(name: string) {
    this.name = name;
  }

  static async start(scope: Scope, name: string, port = 0, host = "127.0.0.1"): Promise<NamedServer> {
    const server = new NamedServer(name);
    const unary = (_call: unknown, callback: (error: null, answer: Buffer) => void): void => {
      server.calls++;
      callback(null, Buffer.from(server.name));
    };
    server.inner = await GrpcServer.start({ unary }, `${host}:${port}`);
    scope.onEnd(() => server.stop());
    return server;
  }

  get address(): string {
    return this.inner?.address ?? "";
  }

  get port(): number {
    return Number(this.address.split(":")[1]);
  }

  stop(): void {
    this.inner?.stop();
  }
}

/** Makes calls for one authority through an outbound listener. */
export class Caller {
  private readonly client: ReturnType<typeof grpcClient>;

  constructor(scope: Scope, outbound: string, authority: string) {
    this.client = grpcClient(outbound, authority);
    scope.onEnd(() => this.client.close());
  }

  /** The name of the server that answered. Rejects with the call's error. */
  call(deadline = 5000): Promise<string> {
    const { path, requestSerialize, responseDeserialize } = testService.unary;
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        Buffer.from("?"),
        new Metadata(),
        { deadline: Date.now() + deadline },
        (error: ServiceError | null, answer?: Buffer) => {
          if (error === null) resolve(String(answer));
          else reject(error);
        },
      );
    });
  }

  /** What becomes of a call: the server's name, or the reason why there is none. */
  async outcome(): Promise<string> {
    try {
      return await this.call();
    } catch (error) {
      const metadata = error instanceof Error ? Reflect.get(error, "metadata") : undefined;
      return metadata instanceof Metadata ? String(metadata.get("outrigger-reason")[0]) : String(error);
    }
  }

  /** Which servers answer so many calls, one after the other. */
  async outcomes(count: number): Promise<Set<string>> {
    const seen = new Set<string>();
    for (let n = 0; n < count; n++) seen.add(await this.outcome());
    return seen;
  }
}
