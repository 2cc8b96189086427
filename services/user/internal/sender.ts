/** Sends one message. Resolves when there is room for the next one, rejects when the call is over. */
export type Send<Response> = (message: Response) => Promise<void>;

/**
 * How many messages may wait to be written. grpc-js itself would queue 16 of whatever size before it says stop; it
 * writes one after the other, so that a longer queue makes nothing faster.
 */
const MAX_WAITING = 2;

interface MessageSink<Response> {
  write(message: Response, written: () => void): boolean;
}

/** The sending side of a call, which holds back its user while the caller does not read. */
export function senderTo<Response>(call: MessageSink<Response>, signal: AbortSignal): Send<Response> {
  let waiting = 0;
  let room = Promise.withResolvers<void>();
  const giveRoom = () => {
    room.resolve();
    room = Promise.withResolvers();
  };
  signal.addEventListener("abort", giveRoom, { once: true });
  return async (message) => {
    signal.throwIfAborted();
    waiting++;
    call.write(message, () => {
      waiting--;
      giveRoom();
    });
    while (waiting > MAX_WAITING) {
      await room.promise;
      signal.throwIfAborted();
    }
  };
}
