import { once } from "node:events";
import { connect } from "node:http2";

/** How long one call may take before it counts as not answered. */
const LIMIT_MS = 2_000;

/** A gRPC message of that many bytes, with its prefix. */
export function grpcMessage(size: number): Buffer {
  const message = Buffer.alloc(5 + size, "outrigger ");
  message.writeUInt8(0, 0);
  message.writeUInt32BE(size, 1);
  return message;
}

/** Makes one call to the echo server through 127.0.0.1:PORT; resolves to undefined when it was answered rightly, else to what was wrong. */
export async function sampleCall(port: number, size: number): Promise<string | undefined> {
  const session = connect(`http://127.0.0.1:${port}`);
  const message = grpcMessage(size);
  try {
    // One listener for the connection's own errors; the call rejects with the same error.
    session.on("error", () => {});
    const call = session.request({
      ":method": "POST",
      ":path": "/bench.Echo/Unary",
      ":authority": "echo",
      "content-type": "application/grpc",
      te: "trailers",
    });
    call.setTimeout(LIMIT_MS, () => call.destroy(new Error(`no answer within ${LIMIT_MS} ms`)));
    const chunks: Buffer[] = [];
    let status: unknown;
    call.on("response", (head) => {
      status = head["grpc-status"];
    });
    call.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    call.on("data", (chunk: Buffer) => chunks.push(chunk));
    call.end(message);
    await once(call, "end");
    if (status !== "0") return `grpc-status ${String(status)}`;
    return Buffer.concat(chunks).equals(message) ? undefined : "another message came back";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    session.destroy();
  }
}
