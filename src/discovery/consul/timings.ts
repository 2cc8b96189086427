/** How a watch spends its time, in milliseconds. */
export interface ConsulTimings {
  /** Between two executions of a prepared query, which cannot block. */
  readonly poll: number;
  /** Longest blocking query; short, for a query with an index from before a restart blocks as long as that. */
  readonly wait: number;
  /** The same while other names queue for a slot, … */
  readonly crowdedWait: number;
  /** … and shorter still where their turn would take longer than this to come round. */
  readonly rotation: number;
  /** How long an answer may take beyond the wait. */
  readonly margin: number;
  readonly backoffBase: number;
  readonly backoffCap: number;
  /** Answers come no more often than one each interval, beyond a burst of them. */
  readonly wakeInterval: number;
  readonly wakeBurst: number;
  /** After an outage, how long nobody is believed to be gone: three heartbeats of a sidecar that must register again. */
  readonly doubtEmpty: number;
  /** How long a list is good without an answer, while the agent has too many connections to give one. */
  readonly patience: number;
}

/** What is used outside of tests; in milliseconds. */
export const CONSUL_TIMINGS: ConsulTimings = {
  poll: 5000,
  wait: 10_000,
  crowdedWait: 1000,
  rotation: 10_000,
  margin: 2500,
  backoffBase: 100,
  backoffCap: 5000,
  wakeInterval: 250,
  wakeBurst: 10,
  doubtEmpty: 30_000,
  patience: 15_000,
};
