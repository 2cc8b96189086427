import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";

export type OctetCall = ServerUnaryCall<Buffer, Buffer>;
export type OctetAnswer = sendUnaryData<Buffer>;

const buffer = (value: Buffer): Buffer => value;

/** A small real gRPC server of one unary method, which reads and writes its messages by itself. */
export abstract class OctetService {
  address = "";
  private server = new Server();
  private readonly path: string;

  /** `path`: of its method, `/package.Service/Method`. */
  constructor(path: string) {
    this.path = path;
  }

  protected abstract onCall(call: OctetCall, done: OctetAnswer): void;

  async start(port = 0): Promise<void> {
    this.server = new Server();
    this.server.addService(
      {
        method: {
          path: this.path,
          requestStream: false,
          responseStream: false,
          requestSerialize: buffer,
          requestDeserialize: buffer,
          responseSerialize: buffer,
          responseDeserialize: buffer,
        },
      },
      { method: (call: OctetCall, done: OctetAnswer) => this.onCall(call, done) },
    );
    const bound = await new Promise<number>((resolve, reject) => {
      this.server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, got) =>
        error ? reject(error) : resolve(got),
      );
    });
    this.address = `127.0.0.1:${bound}`;
  }

  stop(): void {
    this.server.forceShutdown();
  }
}
