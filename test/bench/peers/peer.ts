/** Where a peer finds what it needs to start. */
export interface Placement {
  /** The port of 127.0.0.1 on which the echo server listens. */
  readonly upstreamPort: number;
  /** A folder for the files that the peer needs; removed after the round. */
  readonly folder: string;
  /** The processor that the peer is pinned to. */
  readonly core: number;
}

/** A peer that has been started; it may not be ready yet. */
export interface RunningPeer {
  /** The port of 127.0.0.1 to call. */
  readonly port: number;
  /** Its process; undefined where there is none between the caller and the upstream. */
  readonly pid: number | undefined;
  /** What it has printed so far, for the error message when it does not become ready. */
  output(): string;
  stop(): Promise<void>;
}

/** One of the things that are compared. */
export interface Peer {
  readonly name: string;
  /** What it is and its version, for the report. */
  readonly description: string;
  start(placement: Placement): Promise<RunningPeer>;
}
