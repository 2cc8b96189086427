import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionError, ErrorCode } from "../../src/http2/errors.ts";
import { applySettings, defaultPeerSettings, type PeerSettings, SettingId } from "../../src/http2/settings.ts";
import { settingsFrame } from "../support/frames.ts";

/** What a peer's SETTINGS make of the defaults, and the table sizes that they name. */
function applied(
  values: readonly (readonly [id: number, value: number])[],
  fromServer = false,
): { settings: PeerSettings; tableSizes: number[] } {
  const settings = defaultPeerSettings();
  const tableSizes: number[] = [];
  const octets = settingsFrame(values);
  const compressor = { setHeaderTableSize: (size: number) => void tableSizes.push(size) };
  applySettings(settings, octets, 9, octets.length, fromServer, compressor);
  return { settings, tableSizes };
}

function refused(id: number, value: number, code: number, fromServer = false): void {
  assert.throws(
    () => applied([[id, value]], fromServer),
    (error) => error instanceof ConnectionError && error.code === code,
    `${id} = ${value}`,
  );
}

test("SETTINGS without any change nothing", () => {
  assert.deepEqual(applied([]), { settings: defaultPeerSettings(), tableSizes: [] });
});

test("every setting is read, and the last of several holds", () => {
  const { settings } = applied([
    [SettingId.MAX_CONCURRENT_STREAMS, 7],
    [SettingId.INITIAL_WINDOW_SIZE, 1],
    [SettingId.INITIAL_WINDOW_SIZE, 2],
    [SettingId.MAX_FRAME_SIZE, 20_000],
    [SettingId.MAX_HEADER_LIST_SIZE, 8192],
    [SettingId.ENABLE_CONNECT_PROTOCOL, 1],
    [SettingId.OUTRIGGER, 1],
  ]);
  assert.deepEqual(settings, {
    maxConcurrentStreams: 7,
    initialWindow: 2,
    maxFrameSize: 20_000,
    maxHeaderListSize: 8192,
    extendedConnect: true,
    sidecar: true,
  });
});

test("every table size of a frame is told, as the smallest of them has to be signalled", () => {
  assert.deepEqual(
    applied([
      [SettingId.HEADER_TABLE_SIZE, 0],
      [SettingId.HEADER_TABLE_SIZE, 0xffff_ffff],
    ]).tableSizes,
    [0, 0xffff_ffff],
  );
});

test("what is not known is ignored, and a peer is a sidecar only by the value 1", () => {
  const unknown = applied([
    [0x9, 1],
    [0xffff, 5],
    [SettingId.OUTRIGGER, 2],
  ]);
  assert.deepEqual(unknown, { settings: defaultPeerSettings(), tableSizes: [] });
});

test("values at their bounds are taken, and over them the connection is broken", () => {
  const { INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS } = SettingId;
  assert.equal(applied([[INITIAL_WINDOW_SIZE, 0]]).settings.initialWindow, 0);
  assert.equal(applied([[INITIAL_WINDOW_SIZE, 2 ** 31 - 1]]).settings.initialWindow, 2 ** 31 - 1);
  refused(INITIAL_WINDOW_SIZE, 2 ** 31, ErrorCode.FLOW_CONTROL_ERROR);
  assert.equal(applied([[MAX_FRAME_SIZE, 16_384]]).settings.maxFrameSize, 16_384);
  assert.equal(applied([[MAX_FRAME_SIZE, 2 ** 24 - 1]]).settings.maxFrameSize, 2 ** 24 - 1);
  refused(MAX_FRAME_SIZE, 16_383, ErrorCode.PROTOCOL_ERROR);
  refused(MAX_FRAME_SIZE, 2 ** 24, ErrorCode.PROTOCOL_ERROR);
  assert.equal(applied([[MAX_CONCURRENT_STREAMS, 0]]).settings.maxConcurrentStreams, 0);
  assert.equal(applied([[MAX_CONCURRENT_STREAMS, 2 ** 32 - 1]]).settings.maxConcurrentStreams, 2 ** 32 - 1);
  refused(ENABLE_PUSH, 2, ErrorCode.PROTOCOL_ERROR);
  refused(ENABLE_PUSH, 2, ErrorCode.PROTOCOL_ERROR, true);
  refused(SettingId.ENABLE_CONNECT_PROTOCOL, 2, ErrorCode.PROTOCOL_ERROR);
});

test("who has said that it takes extended CONNECT cannot take that back (RFC 8441 §3)", () => {
  const { ENABLE_CONNECT_PROTOCOL } = SettingId;
  assert.equal(applied([[ENABLE_CONNECT_PROTOCOL, 0]]).settings.extendedConnect, false);
  const late = [
    [ENABLE_CONNECT_PROTOCOL, 1],
    [ENABLE_CONNECT_PROTOCOL, 0],
  ] as const;
  assert.throws(() => applied(late), { code: ErrorCode.PROTOCOL_ERROR });
});

test("a client may enable push and a server may not", () => {
  applied([[SettingId.ENABLE_PUSH, 1]]);
  applied([[SettingId.ENABLE_PUSH, 0]], true);
  refused(SettingId.ENABLE_PUSH, 1, ErrorCode.PROTOCOL_ERROR, true);
});
