import type { Case } from "./cases.ts";
import type { Sample } from "./sample.ts";

/** Everything that a run of the bench has found out. */
export interface Measurement {
  readonly peers: readonly MeasuredPeer[];
  readonly cases: readonly Case[];
}

export interface MeasuredPeer {
  readonly name: string;
  readonly description: string;
  /** One a round; empty for the peer without a process. */
  readonly processes: readonly ProcessFigures[];
  /** The samples of a case, one a round, by the case's id. */
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
}

/** What a peer's process needed in one round. */
export interface ProcessFigures {
  /** From its start to the first answered call, in milliseconds. */
  readonly readyMs: number;
  /** Resident memory in MB (10^6 bytes) before the first load, and after the last. */
  readonly idleMB: number;
  readonly afterMB: number;
}

/** The peer of that name, if it took part. */
export function findPeer(measurement: Measurement, name: string): MeasuredPeer | undefined {
  return measurement.peers.find((peer) => peer.name === name);
}
