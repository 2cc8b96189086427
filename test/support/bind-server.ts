import { type Server, ServerCredentials } from "@grpc/grpc-js";

/** Has a server of grpc-js listen in plaintext at HOST:PORT; resolves to its port. */
export async function bindServer(server: Server, address: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
}
