import type { Socket } from "node:net";
import type { Address } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";
import type { ConnectFailure } from "../../net/connect-failure.ts";
import { dial } from "../../net/connector.ts";
import type { Meta, SecureAttempt, SecurePeer } from "./connect.ts";

/** Who wants a connection. Told once, not before `OpenSocket` has returned, unless it was cancelled. */
export interface Opening {
  /** `peer`: undefined in plaintext. */
  onOpened(socket: Socket, peer?: SecurePeer): void;
  onFailed(failure: ConnectFailure): void;
}

/** Connects to an endpoint of which `meta` is known; returns what gives it up. */
export type OpenSocket = (address: Address, opening: Opening, meta: Meta) => () => void;

/** Connects in plain text. */
export function plainSocket(clock: Clock): OpenSocket {
  return (address, opening) => openSocket(clock, undefined, address, opening);
}

/** Connects in plaintext or, with `secure`, over TLS. `timeout`: milliseconds. */
export function openSocket(
  clock: Clock,
  secure: SecureAttempt | undefined,
  address: Address,
  opening: Opening,
  timeout?: number,
): () => void {
  const options = {
    clock,
    ...(timeout === undefined ? {} : { timeout }),
    ...(secure === undefined ? {} : { secure }),
  };
  return dial(address, options, {
    done: (result) => {
      if (result.kind === "failed") opening.onFailed(result);
      else opening.onOpened(result.socket, secure?.peer);
    },
  });
}
