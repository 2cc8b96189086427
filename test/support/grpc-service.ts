import {
  Client,
  type ClientOptions,
  credentials,
  type MethodDefinition,
  Server,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { bindServer } from "./bind-server.ts";

const identity = (value: Buffer): Buffer => value;

function method(path: string, requestStream: boolean, responseStream: boolean): MethodDefinition<Buffer, Buffer> {
  return {
    path: `/test.v1.Test/${path}`,
    requestStream,
    responseStream,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  };
}

/** A service of every kind of call whose messages are octets. */
export const testService = {
  unary: method("Unary", false, false),
  clientStream: method("ClientStream", true, false),
  serverStream: method("ServerStream", false, true),
  bidi: method("Bidi", true, true),
} satisfies ServiceDefinition;

export type TestImplementation = Partial<Record<keyof typeof testService, UntypedServiceImplementation[string]>>;

/** A real gRPC server that knows nothing of sidecars. */
export class GrpcServer {
  readonly server: Server;
  readonly address: string;

  private constructor(server: Server, address: string) {
    this.server = server;
    this.address = address;
  }

  static async start(implementation: TestImplementation, address = "127.0.0.1:0"): Promise<GrpcServer> {
    const server = new Server({ "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 });
    const unused = (): never => {
      throw new Error("not part of this test");
    };
    const all = { unary: unused, clientStream: unused, serverStream: unused, bidi: unused, ...implementation };
    server.addService(testService, all);
    const port = await bindServer(server, address);
    return new GrpcServer(server, address.replace(/:\d+$/, `:${port}`));
  }

  stop(): void {
    this.server.forceShutdown();
  }
}

/** A plain gRPC client whose calls go to `address` and are for `authority`. */
export function grpcClient(address: string, authority: string, options: ClientOptions = {}): Client {
  return new Client(address, credentials.createInsecure(), {
    "grpc.default_authority": authority,
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
    "grpc.enable_retries": 0,
    // No channel of another test is shared.
    "grpc.use_local_subchannel_pool": 1,
    ...options,
  });
}
