/** Frame types of RFC 9113 §6. */
export const FrameType = {
  DATA: 0x0,
  HEADERS: 0x1,
  PRIORITY: 0x2,
  RST_STREAM: 0x3,
  SETTINGS: 0x4,
  PUSH_PROMISE: 0x5,
  PING: 0x6,
  GOAWAY: 0x7,
  WINDOW_UPDATE: 0x8,
  CONTINUATION: 0x9,
} as const;

/** Flags of RFC 9113 §6; ACK and END_STREAM share a bit in different frames. */
export const Flag = {
  END_STREAM: 0x1,
  ACK: 0x1,
  END_HEADERS: 0x4,
  PADDED: 0x8,
  PRIORITY: 0x20,
} as const;

/** Octets of a frame header, RFC 9113 §4.1. */
export const FRAME_HEADER_SIZE = 9;

/** The smallest and default SETTINGS_MAX_FRAME_SIZE, RFC 9113 §6.5.2. */
export const DEFAULT_MAX_FRAME_SIZE = 16_384;

/** The largest SETTINGS_MAX_FRAME_SIZE, RFC 9113 §6.5.2. */
export const LARGEST_MAX_FRAME_SIZE = 16_777_215;

/** Every window begins here, RFC 9113 §6.9.2. */
export const DEFAULT_WINDOW = 65_535;

/** No window may grow beyond it, RFC 9113 §6.9.1. */
export const MAX_WINDOW = 2_147_483_647;

/** The largest stream identifier, RFC 9113 §5.1.1. */
export const MAX_STREAM_ID = 2_147_483_647;

/** What a client sends first, RFC 9113 §3.4. */
export const CLIENT_PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
