/**
 * What a peer may ask of one connection, by name. Every limit has a default with its reason; a peer that goes over one is
 * answered with GOAWAY(ENHANCE_YOUR_CALM), or with a stream error where only one stream is at fault.
 */
export interface Http2Limits {
  /** Streams a peer may have open at once; announced as SETTINGS_MAX_CONCURRENT_STREAMS. */
  readonly maxConcurrentStreams: number;
  /** Octets of a header list after RFC 9113 §6.5.2; announced as SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly maxHeaderListSize: number;
  /** Fields of a header list. */
  readonly maxHeaderFields: number;
  /** CONTINUATION frames of one header block. */
  readonly maxContinuations: number;
  /** Octets of dynamic table that the peer's encoder may use; announced as SETTINGS_HEADER_TABLE_SIZE. */
  readonly headerTableSize: number;
  /** Octets of a stream's receive window at first, and at most after tuning. */
  readonly streamWindow: number;
  readonly maxStreamWindow: number;
  /** The same of a connection's window. */
  readonly connectionWindow: number;
  readonly maxConnectionWindow: number;
  /** Milliseconds for the client's preface and first SETTINGS, and for the acknowledgement of ours. */
  readonly handshakeTimeout: number;
  /** Octets that may wait for a peer that does not read, beyond DATA: answers to PING, SETTINGS, resets. */
  readonly maxControlBacklog: number;
  /** Budgets of frames that cost us work and carry nothing: `burst` at once, `rate` a second after that. */
  readonly budgets: Readonly<Record<BudgetName, { readonly burst: number; readonly rate: number }>>;
}

/** The kinds of abuse that have a budget. */
export type BudgetName =
  | "resets"
  | "settings"
  | "pings"
  | "emptyData"
  | "priorities"
  | "windowUpdates"
  | "streamErrors"
  | "unknownFrames";

export const defaultLimits: Http2Limits = {
  // As grpc-go's server leaves it open and Envoy allows 2^31-1, most peers never see a limit; 1,000 bounds memory and
  // is far above what one caller has in flight. Two sidecars open a second connection before it is reached.
  maxConcurrentStreams: 1000,
  // Metadata of 8 KiB is the common limit of gRPC servers; Envoy takes 60 KiB. The application decides, we only bound.
  maxHeaderListSize: 65_536,
  maxHeaderFields: 1000,
  // 64 KiB of list fit into 4 full frames; a peer that sends small ones still has room.
  maxContinuations: 16,
  headerTableSize: 4096,
  streamWindow: 131_072,
  maxStreamWindow: 4_194_304,
  connectionWindow: 1_048_576,
  maxConnectionWindow: 8_388_608,
  handshakeTimeout: 10_000,
  maxControlBacklog: 1_048_576,
  budgets: {
    // A caller that gives up often is legitimate: its cancels cost what a call costs. Far above Node's 1000 and 33/s.
    resets: { burst: 5000, rate: 1000 },
    settings: { burst: 50, rate: 5 },
    // Keepalive. A PING after DATA that we sent, as bandwidth estimation has it, is not counted.
    pings: { burst: 200, rate: 20 },
    emptyData: { burst: 500, rate: 50 },
    priorities: { burst: 2000, rate: 200 },
    // Beyond the two for each DATA frame that we sent, which are lawful however small the frame.
    windowUpdates: { burst: 10_000, rate: 2000 },
    streamErrors: { burst: 200, rate: 20 },
    unknownFrames: { burst: 200, rate: 20 },
  },
};
