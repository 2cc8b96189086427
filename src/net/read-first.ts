import type { Socket } from "node:net";

type Done = (error?: Error | null) => void;

/**
 * Has what a connection has been told be read before it breaks by what it cannot be told any more: whoever answers a request before it
 * has read all of it, and closes, resets the connection, and Node would drop the answer for the sake of the write that fails. Linux
 * keeps what has arrived, and an end behind it: `ended` is told of that before the connection's other listeners, and then it is
 * destroyed. Returns what has it break as any other from here on.
 */
export function readBeforeBreaking(socket: Socket, ended: (error: Error) => void): () => void {
  const write = socket._write.bind(socket);
  const writev = socket._writev?.bind(socket);
  const held =
    (done: Done): Done =>
    (error) => {
      if (!isReset(error) || socket.readableEnded) {
        done(error);
        return;
      }
      // The write is never done, so that nothing else is written.
      socket.prependOnceListener("end", () => ended(error));
      socket.once("end", () => socket.destroy());
    };
  socket._write = (chunk, encoding, done) => write(chunk, encoding, held(done));
  if (writev !== undefined) socket._writev = (chunks, done) => writev(chunks, held(done));
  return () => {
    // Those of the prototype come back.
    Reflect.deleteProperty(socket, "_write");
    Reflect.deleteProperty(socket, "_writev");
  };
}

function isReset(error: Error | null | undefined): error is Error {
  return error != null && "code" in error && (error.code === "EPIPE" || error.code === "ECONNRESET");
}
