/** Open files that are for something else: those of Node, the probe and admin, discovery, logs and exporters. */
const RESERVE = 256;
/** Sockets that listen on one address. */
const DOORS = 8;
/** With fewer connections than that, each open file counts. */
const FEW = 1000;
/** Share of the others that callers get: behind a connection of TCP or HTTP/1.1 is another one, to whom it is for. */
export const defaultConnectionBudget = { openFilesShare: 1 / 2 };
/** Share of connections that may be there beyond, while those that made room for them end. */
export const ENDING = 0.1;

/**
 * Connections that all listeners for calls of one thread may have open together, so that there are open files left for the
 * endpoints that the calls go to, for the probe and for people: a process without any can neither accept nor dial.
 */
export class ConnectionBudget {
  /** Infinity where the system has no limit. */
  readonly most: number;
  open = 0;
  /** No more are taken, however few are open: the sidecar is overloaded. */
  shut = false;

  constructor(most: number) {
    this.most = most;
  }

  /** One more needs room that another one makes for it. */
  get isFull(): boolean {
    return this.shut || this.open >= this.most;
  }

  /** Nor is there room for those that are ending. */
  get isOver(): boolean {
    return this.shut || this.open >= Math.ceil(this.most * (1 + ENDING));
  }
}

/** The part of a thread in `openFiles`, which `threads` share. */
export function connectionShare(openFiles: number | undefined, threads: number): number {
  if (openFiles === undefined) return Number.POSITIVE_INFINITY;
  const reserve = Math.min(RESERVE, openFiles / 2);
  return Math.max(1, Math.floor(((openFiles - reserve) * defaultConnectionBudget.openFilesShare) / threads));
}

/** Sockets that listen where anybody may come, see `ListenerOptions.doors`: several, where that is not too many of the open files. */
export function doorsFor(connections: number): number {
  return connections < FEW ? 1 : DOORS;
}

/** Connections of the few whom a listener of the process itself is for: a sixteenth of `openFiles` at most, 4 at least. */
export function controlShare(openFiles: number | undefined, most: number): number {
  return openFiles === undefined ? most : Math.min(most, Math.max(4, Math.floor(openFiles / 16)));
}
