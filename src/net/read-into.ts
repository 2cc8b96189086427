import { Socket, type SocketConstructorOpts } from "node:net";

/**
 * What the sockets of this thread are read into. One is enough: the loop reads a socket and hands the octets over before it
 * reads another, and they are the reader's during the call only.
 */
export const readBuffer = Buffer.allocUnsafeSlow(65_536);

/** Makes of what was read the octets that the reader gets. */
export function octetsRead(buffer: Uint8Array, length: number): Buffer {
  return Buffer.from(buffer.buffer, buffer.byteOffset, length);
}

/** The handle of a socket, which Node has no public way to pass on. */
interface Handle {
  readonly useUserBuffer: unknown;
}

/**
 * Has an accepted socket read into the shared buffer, as `onread` does for a dialled one: without it every read allocates
 * 64 KiB outside the heap, which at 16 KiB a message is what most of the garbage collection is about. Node offers `onread`
 * for sockets that it makes itself only, so a new socket takes the accepted one's handle over; where a future Node has none
 * to take, the public "data" event does the same job at that price.
 *
 * To be called in the tick in which the socket was accepted. Returns the socket to use from then on.
 */
export function readInto(accepted: Socket, receive: (chunk: Buffer) => void): Socket {
  const handle = takeHandle(accepted);
  if (handle === undefined) return accepted.on("data", receive);
  // Node's closed sockets live until a full collection. They must not keep alive what has read from them.
  let reader: ((chunk: Buffer) => void) | undefined = receive;
  // The types know of bound handles only.
  const withHandle: object = { handle };
  const options: SocketConstructorOpts = {
    ...withHandle,
    onread: {
      buffer: readBuffer,
      callback: (length: number, buffer: Uint8Array) => {
        reader?.(octetsRead(buffer, length));
        return true;
      },
    },
  };
  const socket = new Socket(options);
  // The server counts the socket that it accepted.
  socket.once("close", () => {
    reader = undefined;
    accepted.destroy();
  });
  socket.resume();
  return socket;
}

function takeHandle(socket: Socket): Handle | undefined {
  const holder: object & { _handle?: unknown } = socket;
  const handle = holder._handle;
  if (!isHandle(handle)) return undefined;
  holder._handle = null;
  return handle;
}

function isHandle(value: unknown): value is Handle {
  return typeof value === "object" && value !== null && "useUserBuffer" in value;
}
