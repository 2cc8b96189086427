import { Metadata, ResponderBuilder, ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";

/** The metadata in which a replica says who it is. */
const INSTANCE = "user-instance";

/**
 * Names the replica in every answer: in the initial metadata, where there are any, so that the caller of a stream knows
 * at once; and in the trailing ones, which alone come with a call that failed before its first message.
 */
export function instanceInterceptor(instance: string): ServerInterceptor {
  return (_method, call) => {
    const responder = new ResponderBuilder()
      .withSendMetadata((metadata, next) => {
        metadata.set(INSTANCE, instance);
        next(metadata);
      })
      .withSendStatus((status, next) => {
        const metadata = status.metadata?.clone() ?? new Metadata();
        metadata.set(INSTANCE, instance);
        next({ ...status, metadata });
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}
