import type { Address } from "../core/address.ts";

/** A bound listener of admin or probe. */
export interface ControlListener {
  /** The address that was bound; of port 0 the one that the system chose. */
  readonly address: Address;
  /** Stops accepting and ends every connection. */
  close(): Promise<void>;
}
