import { type ChannelOptions, Server, ServerCredentials } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { file_google_rpc_error_details } from "../api/gen/google/rpc/error_details_pb.ts";
import { Health } from "../api/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../api/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../api/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { UserService } from "../api/gen/user_pb.ts";
import type { UserRepository } from "../repository/user.ts";
import { implement } from "./grpc-adapter.ts";
import { serviceDefinition } from "./grpc-definition.ts";
import { userServiceHandler } from "./handler.ts";
import { HealthStatus } from "./health.ts";
import { instanceInterceptor } from "./instance-interceptor.ts";
import { reflectionOf } from "./reflection.ts";
import { Users } from "./users.ts";

/** What a server is made of. */
export interface UserServerOptions {
  readonly repository: UserRepository;
  readonly log: Logger;
  /** What the metadata `user-instance` says. */
  readonly instance: string;
  /** Bytes of one message in either direction; -1 is no limit. */
  readonly maxMessageBytes: number;
  /** Calls at once on one connection; undefined is no limit. */
  readonly maxConcurrentStreams: number | undefined;
  /** Ms after which a connection's caller is asked to go on with another one (GOAWAY); undefined is never. */
  readonly maxConnectionAgeMs?: number | undefined;
  /** Users in one import; default 10,000. */
  readonly maxImport?: number;
}

/** A gRPC server of `user.v1.UserService`, with health and reflection. */
export interface UserServer {
  /** Listens on HOST:PORT or unix:PATH. Resolves to the port, which a port 0 leaves open; rejects if it is taken. */
  listen(address: string): Promise<number>;
  /**
   * Says NOT_SERVING, ends the streams that have no end of their own, takes no new calls and waits for the others, at
   * most so many ms. Resolves to whether all of them ended by themselves.
   */
  stop(graceMs: number): Promise<boolean>;
}

/** A gRPC server of users, health and reflection. The repository stays the caller's to close. */
export function createUserServer(options: UserServerOptions): UserServer {
  const { log, instance } = options;
  const stopping = new AbortController();
  const health = new HealthStatus([UserService.typeName], stopping.signal);
  // The server as a whole stays fit: to end it, or to send its callers to others of the same store, would help nobody.
  const stopListening = options.repository.onReachable((reachable) => {
    if (reachable) log.info("the store can be reached again");
    else log.warn("the store cannot be reached");
    health.setServing(UserService.typeName, reachable);
  });
  const users = new Users(options);
  const reflection = reflectionOf(
    [UserService, Health, ServerReflection, ServerReflectionV1alpha],
    [file_google_rpc_error_details],
  );

  const server = new Server({ ...channelOptions(options), interceptors: [instanceInterceptor(instance)] });
  const user = userServiceHandler(users, stopping.signal);
  server.addService(serviceDefinition(UserService), implement(UserService, user, log));
  server.addService(serviceDefinition(Health), implement(Health, health.implementation, log));
  // The two versions differ in the name of the package only, so the newer one's messages do for both.
  const reflect = implement(ServerReflection, reflection, log);
  server.addService(serviceDefinition(ServerReflection), reflect);
  server.addService(serviceDefinition(ServerReflection, ServerReflectionV1alpha.typeName), reflect);

  return {
    listen: (address) =>
      new Promise((resolve, reject) => {
        server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
          error ? reject(new Error(`cannot listen on ${address}: ${error.message}`, { cause: error })) : resolve(port),
        );
      }),

    stop: async (graceMs) => {
      stopListening();
      stopping.abort();
      const stopped = Promise.withResolvers<boolean>();
      const timer = setTimeout(() => {
        stopped.resolve(false);
        server.forceShutdown();
      }, graceMs);
      server.tryShutdown((error) => (error ? stopped.reject(error) : stopped.resolve(true)));
      return stopped.promise.finally(() => clearTimeout(timer));
    },
  };
}

/** How long calls may go on over a connection that has its age. */
const AGE_GRACE_MS = 10_000;

function channelOptions(options: UserServerOptions): ChannelOptions {
  const { maxMessageBytes, maxConcurrentStreams, maxConnectionAgeMs } = options;
  return {
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
    ...(maxConcurrentStreams === undefined ? {} : { "grpc.max_concurrent_streams": maxConcurrentStreams }),
    ...(maxConnectionAgeMs === undefined
      ? {}
      : { "grpc.max_connection_age_ms": maxConnectionAgeMs, "grpc.max_connection_age_grace_ms": AGE_GRACE_MS }),
  };
}
