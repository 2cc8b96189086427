/**
 * What a peer may ask of one connection, by name. Every limit has a default with its reason; a peer that goes over one is
 * answered with GOAWAY(ENHANCE_YOUR_CALM), or with a stream error where only one stream is at fault.
 */
export interface Http2Limits {
  /** Streams a peer may have open at once, announced as SETTINGS_MAX_CONCURRENT_STREAMS; and no more of ours, whatever it allows. */
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
  /** Octets by which the windows of all streams of a connection together may grow. */
  readonly windowGrowth: number;
  /**
   * Octets that all streams of a connection may hold for readers that do not take them. Up to here the connection's window is
   * credited at once, so that a stream nobody reads keeps no other waiting; beyond, as they are taken.
   */
  readonly maxUnread: number;
  /** Milliseconds for a client's preface and first SETTINGS, and for its acknowledgement of ours. */
  readonly handshakeTimeout: number;
  /** The same for a server's SETTINGS. */
  readonly settingsTimeout: number;
  /** Milliseconds for a frame, other than DATA, or a whole header block to be complete. */
  readonly frameTimeout: number;
  /** Octets that may wait for a peer that does not read what it makes us write: answers to PING and SETTINGS, credit, resets. */
  readonly maxControlBacklog: number;
  /** Octets of everything that may wait for a peer that does not read, heads above all: DATA is held back long before. */
  readonly maxBacklog: number;
  /** Interim (1xx) heads of one answer. */
  readonly maxInterim: number;
  /** What we ask of a server in turn: the pace of resets by which it does not take us for an attacker. */
  readonly cancels: CancelPace;
  /** Budgets of frames that cost us work and carry nothing: `burst` at once, `rate` a second after that. */
  readonly budgets: Readonly<Record<BudgetName, { readonly burst: number; readonly rate: number }>>;
}

/**
 * How many streams a client's connection resets. A cancel beyond it waits, and the connection is replaced: see `Cancels`.
 */
export interface CancelPace {
  /** Resets at once, and a second after that. */
  readonly burst: number;
  readonly rate: number;
  /** The same for a server that is a sidecar as we are, and so has our own budget of resets. */
  readonly sidecarBurst: number;
  readonly sidecarRate: number;
  /** Milliseconds before which the reset of a stream without an answer counts as a young one. */
  readonly youngAge: number;
  /** Young resets at most, as a share of all streams that have ended; `youngBase` streams are taken for granted. */
  readonly youngShare: number;
  readonly youngBase: number;
  /** Streams that wait for their reset from which on another connection takes the new ones. */
  readonly maxWaiting: number;
}

/** What all connections of a process together may make it keep. */
export const defaultSharedLimits = {
  /** Octets that wait in all streams and callers' sockets for their readers: what two callers can hold by reading nothing, nearly. */
  unread: 268_435_456,
  /** Octets of callers who send more than is read of one in a turn. Beyond, everybody is read to the end at once. */
  kept: 67_108_864,
};

/** The kinds of abuse that have a budget. */
export type BudgetName =
  | "resets"
  | "refused"
  | "goaways"
  | "settings"
  | "pings"
  | "emptyData"
  | "priorities"
  | "windowUpdates"
  | "streamErrors"
  | "unknownFrames";

/** Bounds of one connection; docs/limits.md lists them. */
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
  // Eight streams at their largest, or as many as it takes to fill a fast link.
  windowGrowth: 33_554_432,
  // What one caller can hold by reading nothing, 1,000 streams of 128 KiB and the growth, so that none can starve others.
  maxUnread: 167_772_160,
  handshakeTimeout: 10_000,
  // As long as connecting may take, and less than a call waits: another endpoint can be asked then.
  settingsTimeout: 5000,
  // What has begun is mostly in one packet, and never longer than 128 KiB: a slow link takes seconds.
  frameTimeout: 10_000,
  maxControlBacklog: 1_048_576,
  // 1,000 answers of 16 KiB metadata each, to a caller whose link is slow.
  maxBacklog: 16_777_216,
  maxInterim: 16,
  cancels: {
    // Node's servers end a connection at 1,000 resets and 33/s; grpc-js leaves that as it is.
    burst: 900,
    rate: 30,
    sidecarBurst: 4000,
    sidecarRate: 800,
    // Envoy ends a connection once half of its streams, of at least 500, were reset within a second or two and unanswered.
    youngAge: 2100,
    youngShare: 0.4,
    youngBase: 500,
    maxWaiting: 100,
  },
  budgets: {
    // A caller that gives up often is legitimate: its cancels cost what a call costs. Far above Node's 1000 and 33/s.
    resets: { burst: 5000, rate: 1000 },
    // Streams over maxConcurrentStreams. A client may open some before it has read the limit, and none after.
    refused: { burst: 1000, rate: 100 },
    // Two make a graceful end.
    goaways: { burst: 10, rate: 1 },
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
