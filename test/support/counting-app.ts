import { openSync, writeSync } from "node:fs";
import {
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { counterService, healthService } from "./counting-service.ts";
import { grpcClient } from "./grpc-service.ts";

/**
 * A plain gRPC server that writes down every execution before it answers, so that nothing is lost when it is killed. Run as
 * `node counting-app.ts OPTIONS`; it prints `listening 127.0.0.1:PORT`.
 *
 * What it does on SIGTERM is what applications do: `fast` finishes what is under way and ends; `slow` does so, then takes a
 * second and makes a last call of its own; `crashing` ends with code 1 at once; `silent` does nothing at all.
 */
export interface CountingAppOptions {
  /** A line for each execution is appended to it. */
  readonly file: string;
  readonly onTerm: "fast" | "slow" | "crashing" | "silent";
  /** Milliseconds that a call takes. */
  readonly delay: number;
  /** 0: any. */
  readonly port: number;
  /**
   * Where its own calls go: one at the start, and the last one of `slow`. Their upstream is called `friend`. Default: what the
   * sidecar that has started it says.
   */
  readonly outbound?: string;
  /** Milliseconds before it listens. */
  readonly startsAfter?: number;
  /** Milliseconds after which it sends its callers to another connection, as grpc-js's `max_connection_age_ms`. */
  readonly maxAge?: number;
  /** Calls are never answered. */
  readonly mute?: boolean;
}

const options: CountingAppOptions = JSON.parse(process.argv[2] ?? "{}");
const log = openSync(options.file, "a");
const note = (line: string): void => void writeSync(log, `${line}\n`);

const add: handleUnaryCall<Buffer, Buffer> = (call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => {
  note(`executed ${call.request.toString()}`);
  if (options.mute === true) return;
  if (options.delay === 0) done(null, call.request);
  else setTimeout(() => done(null, call.request), options.delay);
};

/** Echoes until its caller ends. */
function hold(stream: ServerDuplexStream<Buffer, Buffer>): void {
  stream.on("data", (message: Buffer) => void stream.write(message));
  stream.on("end", () => stream.end());
  stream.on("error", () => {});
}

const SERVING = Buffer.from([0x08, 1]);
const server = new Server({
  "grpc.max_receive_message_length": -1,
  ...(options.maxAge === undefined
    ? {}
    : { "grpc.max_connection_age_ms": options.maxAge, "grpc.max_connection_age_grace_ms": 10_000 }),
});
server.addService(counterService, { add, hold });
server.addService(healthService, {
  check: (_call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) => done(null, SERVING),
  watch: (stream: ServerWritableStream<Buffer, Buffer>) => void stream.write(SERVING),
});

const outbound = options.outbound ?? process.env.OUTRIGGER_OUTBOUND;
const friend = outbound === undefined ? undefined : grpcClient(outbound, "friend");

/** A call of its own, and what became of it. */
function say(what: string, then: () => void): void {
  if (friend === undefined) {
    then();
    return;
  }
  const metadata = new Metadata({ waitForReady: what === "greeting" });
  const { path, requestSerialize, responseDeserialize } = counterService.add;
  const word = Buffer.from(`${what}-${process.pid}`);
  friend.makeUnaryRequest(path, requestSerialize, responseDeserialize, word, metadata, (error) => {
    note(error === null ? `${what} answered` : `${what} failed ${status[error.code]} ${error.details}`);
    then();
  });
}

process.on("SIGTERM", () => {
  note("SIGTERM");
  switch (options.onTerm) {
    case "fast":
      server.tryShutdown(() => process.exit(0));
      return;
    case "slow":
      server.tryShutdown(() => void setTimeout(() => say("farewell", () => process.exit(0)), 1000));
      return;
    case "crashing":
      process.exit(1);
      return;
    case "silent":
  }
});

await new Promise((resolve) => setTimeout(resolve, options.startsAfter ?? 0));
server.bindAsync(`127.0.0.1:${options.port}`, ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`listening 127.0.0.1:${port} ${process.pid}\n`);
  say("greeting", () => {});
});
