import { ConnectionError, ErrorCode } from "./errors.ts";
import { DEFAULT_MAX_FRAME_SIZE, DEFAULT_WINDOW, LARGEST_MAX_FRAME_SIZE, MAX_WINDOW } from "./frame.ts";

/** Setting identifiers of RFC 9113 §6.5.2, and ours. */
export const SettingId = {
  HEADER_TABLE_SIZE: 0x1,
  ENABLE_PUSH: 0x2,
  MAX_CONCURRENT_STREAMS: 0x3,
  INITIAL_WINDOW_SIZE: 0x4,
  MAX_FRAME_SIZE: 0x5,
  MAX_HEADER_LIST_SIZE: 0x6,
  /** RFC 8441 §3. */
  ENABLE_CONNECT_PROTOCOL: 0x8,
  /** Unregistered: "this is an Outrigger sidecar". Others ignore it (RFC 9113 §6.5.2); it grants nothing by itself. */
  OUTRIGGER: 0x4f52,
} as const;

/** Settings that a peer has announced, or the defaults until it does. */
export interface PeerSettings {
  maxConcurrentStreams: number;
  initialWindow: number;
  maxFrameSize: number;
  maxHeaderListSize: number;
  /** It takes extended CONNECT (RFC 8441 §3). */
  extendedConnect: boolean;
  sidecar: boolean;
}

/**
 * What holds before the peer's first SETTINGS. The limit on streams is unlimited by the RFC; 100 is what §6.5.2 recommends
 * as a minimum, and asking for more before knowing would have streams refused.
 */
export function defaultPeerSettings(): PeerSettings {
  return {
    maxConcurrentStreams: 100,
    initialWindow: DEFAULT_WINDOW,
    maxFrameSize: DEFAULT_MAX_FRAME_SIZE,
    maxHeaderListSize: Number.POSITIVE_INFINITY,
    extendedConnect: false,
    sidecar: false,
  };
}

/** Who compresses heads for the peer. */
interface TableSizeListener {
  /** Told of every HEADER_TABLE_SIZE: of several in a frame the smallest has to be signalled too (RFC 7541 §4.2). */
  setHeaderTableSize(octets: number): void;
}

/**
 * Reads the payload of a SETTINGS frame into `settings`, in order (RFC 9113 §6.5.3). Unknown identifiers are ignored.
 * `fromServer`: a server must not send ENABLE_PUSH 1 (§6.5.2).
 */
export function applySettings(
  settings: PeerSettings,
  buffer: Buffer,
  start: number,
  end: number,
  fromServer: boolean,
  compressor: TableSizeListener,
): void {
  for (let at = start; at < end; at += 6) {
    const id = buffer.readUInt16BE(at);
    const value = buffer.readUInt32BE(at + 2);
    switch (id) {
      case SettingId.HEADER_TABLE_SIZE:
        compressor.setHeaderTableSize(value);
        break;
      case SettingId.ENABLE_PUSH:
        if (value > 1) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `ENABLE_PUSH is ${value}, not 0 or 1`);
        if (value === 1 && fromServer)
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "a server sent ENABLE_PUSH 1");
        break;
      case SettingId.MAX_CONCURRENT_STREAMS:
        settings.maxConcurrentStreams = value;
        break;
      case SettingId.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW)
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `INITIAL_WINDOW_SIZE ${value} is above 2^31-1`);
        settings.initialWindow = value;
        break;
      case SettingId.MAX_FRAME_SIZE:
        if (value < DEFAULT_MAX_FRAME_SIZE || value > LARGEST_MAX_FRAME_SIZE)
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `MAX_FRAME_SIZE ${value} is outside 16384 to 16777215`);
        settings.maxFrameSize = value;
        break;
      case SettingId.MAX_HEADER_LIST_SIZE:
        settings.maxHeaderListSize = value;
        break;
      case SettingId.ENABLE_CONNECT_PROTOCOL:
        // RFC 8441 §3: "The value of the parameter MUST be 0 or 1", and no 0 after a 1.
        if (value > 1 || (value === 0 && settings.extendedConnect))
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `ENABLE_CONNECT_PROTOCOL is ${value}`);
        settings.extendedConnect = value === 1;
        break;
      case SettingId.OUTRIGGER:
        settings.sidecar = value === 1;
        break;
      default:
    }
  }
}
