import type { Socket } from "node:net";
import { beginsHttp2 } from "./detect.ts";

/**
 * Reads of a connection until it is known whether it begins as HTTP/2 does, and no further; `known` is called once, with what has been
 * read, unless it ends before. `arrived` has been read already.
 */
export function whetherHttp2(
  socket: Socket,
  arrived: Buffer | undefined,
  known: (isHttp2: boolean, seen: Buffer) => void,
): void {
  let seen = arrived ?? Buffer.alloc(0);
  const ignore = (): void => {};
  const read = (): void => {
    const chunk: unknown = socket.read();
    if (Buffer.isBuffer(chunk)) look(Buffer.concat([seen, chunk]));
  };
  const look = (octets: Buffer): void => {
    seen = octets;
    const isHttp2 = beginsHttp2(seen);
    if (isHttp2 === undefined) return;
    socket.off("readable", read);
    socket.off("error", ignore);
    known(isHttp2, seen);
  };
  socket.on("error", ignore);
  socket.on("readable", read);
  look(seen);
}
