import { Metadata, type status } from "@grpc/grpc-js";

type StatusCode = (typeof status)[keyof typeof status];

/** The end of a call with a status other than OK. What is in it is told to the caller. */
export class GrpcFailure extends Error {
  readonly code: StatusCode;
  readonly details: string;
  readonly metadata: Metadata;

  constructor(code: StatusCode, details: string, metadata: Metadata = new Metadata()) {
    super(details);
    this.name = "GrpcFailure";
    this.code = code;
    this.details = details;
    this.metadata = metadata;
  }
}
