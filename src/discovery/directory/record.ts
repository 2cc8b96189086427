import type { Registration } from "../source.ts";

/** What one sidecar says of itself in a directory: the content of one file. */
export interface DirectoryRecord {
  /** The version of this form. */
  readonly outrigger: 1;
  readonly registration: Registration;
  /** Whether the application answered that it serves. */
  readonly serving: boolean;
  readonly note: string;
  readonly process: ProcessMark;
  /** When it was written, in wall-clock milliseconds. */
  readonly heartbeat: number;
}

/** Tells a process apart: an id means something only on its machine and in its pid namespace. */
export interface ProcessMark {
  readonly pid: number;
  readonly host: string;
  /** As the kernel names it; empty where it does not. */
  readonly namespace: string;
}

/** How often a sidecar writes its record, in milliseconds. */
export const HEARTBEAT = 5000;
/** When a record that was not written again is no longer believed, in milliseconds. */
export const STALE_AFTER = 15_000;
/** Larger files are not read: they are nobody's record. */
export const MAX_RECORD = 64 * 1024;

/** A registration id may hold any character, a file name may not; every other `.json` in the folder is foreign. */
export function recordFile(id: string): string {
  return `${encodeURIComponent(id)}.json`;
}

/** Whether a name in the folder may be a record. What starts with a dot is being written. */
export function isRecordFile(name: string): boolean {
  return name.endsWith(".json") && !name.startsWith(".");
}

/** Reads a record, or says why the text is none. */
export function parseRecord(text: string): DirectoryRecord | string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return "it is no JSON";
  }
  if (field(value, "outrigger") !== 1) return "it is no record of this version";
  const registration = parseRegistration(field(value, "registration"));
  if (typeof registration === "string") return registration;
  const serving = field(value, "serving");
  const note = field(value, "note");
  const mark = parseProcess(field(value, "process"));
  const heartbeat = field(value, "heartbeat");
  if (typeof serving !== "boolean") return "serving is no boolean";
  if (typeof note !== "string") return "note is no string";
  if (mark === undefined) return "process is no {pid, host, namespace}";
  if (typeof heartbeat !== "number" || !Number.isFinite(heartbeat)) return "heartbeat is no time";
  return { outrigger: 1, registration, serving, note, process: mark, heartbeat };
}

function parseRegistration(value: unknown): Registration | string {
  const id = field(value, "id");
  const name = field(value, "name");
  const host = field(value, "host");
  const port = field(value, "port");
  const tags = field(value, "tags");
  const meta = field(value, "meta");
  const weight = field(value, "weight");
  if (!isText(id) || !isText(name) || !isText(host)) return "registration has no id, name or host";
  if (!isInteger(port) || port > 65_535) return "registration.port is no port";
  if (!isInteger(weight) || weight < 1) return "registration.weight is no weight";
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === "string")) return "registration.tags is no list";
  if (!isStringMap(meta)) return "registration.meta is no map of strings";
  return { id, name, host, port, tags, meta, weight };
}

function parseProcess(value: unknown): ProcessMark | undefined {
  const pid = field(value, "pid");
  const host = field(value, "host");
  const namespace = field(value, "namespace");
  if (!isInteger(pid) || pid < 1 || typeof host !== "string" || typeof namespace !== "string") return undefined;
  return { pid, host, namespace };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isInteger(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isStringMap(value: unknown): value is Record<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((entry) => typeof entry === "string");
}
