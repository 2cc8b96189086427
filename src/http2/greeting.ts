import { DEFAULT_WINDOW } from "./frame.ts";
import type { Http2Limits } from "./limits.ts";
import type { Role } from "./receiver.ts";
import type { Sender } from "./sender.ts";
import { SettingId } from "./settings.ts";

/** Says what a connection begins with, RFC 9113 §3.4: preface, SETTINGS, and the rest of its window. */
export function greet(sender: Sender, role: Role, limits: Http2Limits, announce: boolean): void {
  if (role === "client") sender.preface();
  const settings: [id: number, value: number][] = [
    [SettingId.HEADER_TABLE_SIZE, limits.headerTableSize],
    [SettingId.INITIAL_WINDOW_SIZE, limits.streamWindow],
    [SettingId.MAX_HEADER_LIST_SIZE, limits.maxHeaderListSize],
    role === "client" ? [SettingId.ENABLE_PUSH, 0] : [SettingId.MAX_CONCURRENT_STREAMS, limits.maxConcurrentStreams],
  ];
  if (announce) settings.push([SettingId.OUTRIGGER, 1]);
  sender.settings(settings);
  if (limits.connectionWindow > DEFAULT_WINDOW) sender.windowUpdate(0, limits.connectionWindow - DEFAULT_WINDOW);
}
