/** What is redirected to the sidecar, and what is not. */
export interface CaptureRules {
  /** The ports of the sidecar that redirected connections come in at. */
  readonly inboundPort: number;
  readonly outboundPort: number;
  /** Ports of the sidecar itself, which are reached as they are. */
  readonly ownPorts: readonly number[];
  /** Numbers of users whose connections go out as they are: the sidecar's own before all. */
  readonly users: readonly number[];
  readonly excluded: {
    readonly inboundPorts: readonly number[];
    readonly outboundPorts: readonly number[];
    /** Networks that are called as they are. */
    readonly cidrs: readonly string[];
  };
}

/** A program to run, with what it reads from standard input. `unless`: a check that makes it needless when it succeeds. */
export interface Step {
  readonly program: readonly string[];
  readonly input?: string;
  readonly unless?: readonly string[];
  /** What it removes need not be there. */
  readonly mayFail?: true;
}

/** Whether a network is one of IPv6. */
export function isIpv6(cidr: string): boolean {
  return cidr.includes(":");
}
