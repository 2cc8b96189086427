import { Server, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { bindServer } from "./bind-server.ts";

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
    const bound = await bindServer(this.server, `127.0.0.1:${port}`);
    this.address = `127.0.0.1:${bound}`;
  }

  stop(): void {
    this.server.forceShutdown();
  }
}
