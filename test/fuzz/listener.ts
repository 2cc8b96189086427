import assert from "node:assert/strict";
import type { Head, HeaderTable } from "../../src/http/headers.ts";
import { ErrorCode } from "../../src/http2/errors.ts";
import type { Stream, StreamAbort, StreamHandler } from "../../src/http2/stream.ts";

/** What an application does with a stream, by its number: so that each input meets each of them. */
const MANNERS = ["echo", "silent", "reset", "keep", "pour", "answer", "cancel"] as const;

/** One end of a stream, which does always the same with the same stream and holds the connection to its order of events. */
export class Listener implements StreamHandler {
  /** What it was told, the octets of DATA that follow each other put together. */
  readonly events: string[] = [];
  stream: Stream | undefined = undefined;
  private readonly headers: HeaderTable;
  private readonly kind: "application" | "caller";
  private heads = 0;
  private over = false;
  private left = false;
  private held = 0;

  constructor(headers: HeaderTable, kind: "application" | "caller") {
    this.headers = headers;
    this.kind = kind;
  }

  /** Whoever listens has heard the end, or of the abort, or has left by itself. */
  get ended(): boolean {
    return this.over || this.left;
  }

  /** As an application: a request has come. */
  begin(stream: Stream, head: Head, end: boolean, tooLarge: boolean): void {
    this.stream = stream;
    stream.handler = this;
    this.heads = 1;
    this.note(`request ${tooLarge ? "too large " : ""}${fieldsOf(head)}`, end);
    if (tooLarge) stream.sendHead(this.headers.head([[":status", "431"]]), true);
    else if (this.manner === "echo" || this.manner === "pour")
      stream.sendHead(this.headers.head([[":status", "200"]]), false);
    if (this.manner === "pour") stream.sendData(Buffer.alloc(20_000, "pour "), 0, 20_000, false);
    if (end) this.answer();
  }

  /** Does something after which nothing may be heard any more. */
  giveUp(leave: () => void): void {
    this.left = true;
    leave();
  }

  onInformational(head: Head): void {
    assert.ok(this.kind === "caller" && this.heads === 0, "an interim head at the wrong time");
    this.note(`interim ${fieldsOf(head)}`, false);
  }

  onHead(head: Head, end: boolean): void {
    assert.ok(this.kind === "caller" && this.heads++ === 0, "a head at the wrong time");
    this.note(`head ${fieldsOf(head)}`, end);
  }

  onData(buffer: Buffer, start: number, end: number, fin: boolean): void {
    assert.equal(this.heads, 1, "octets before the head");
    const text = buffer.toString("latin1", start, end);
    const last = this.events.at(-1);
    assert.equal(this.ended, false, "octets after the end");
    // Whoever leaves at the first octets has seen as many as came at once.
    if (this.leaves) this.events.push("data");
    else if (last?.startsWith("data ") === true) this.events[this.events.length - 1] = last + text;
    else if (text !== "") this.events.push(`data ${text}`);
    this.take(buffer, start, end);
    if (this.left) return;
    if (fin) this.note("end", true);
    if (fin) this.answer();
  }

  onTrailers(head: Head): void {
    assert.equal(this.heads, 1, "trailers before the head");
    this.note(`trailers ${fieldsOf(head)}`, true);
    this.answer();
  }

  onSent(octets: number): void {
    assert.ok(octets > 0);
  }

  onAbort(abort: StreamAbort): void {
    assert.equal(this.left, false, "told of what it did itself");
    // A whole request can still be aborted while its answer is on the way.
    const last = this.events.at(-1);
    assert.ok(last?.startsWith("abort") !== true, "told of the end twice");
    this.over = true;
    this.events.push(`abort ${"code" in abort ? `${abort.kind} ${abort.code}` : abort.kind}`);
  }

  private get manner(): (typeof MANNERS)[number] {
    return MANNERS[((this.stream?.id ?? 1) >> 1) % MANNERS.length] ?? "answer";
  }

  private get leaves(): boolean {
    return this.kind === "application" && (this.manner === "reset" || this.manner === "cancel");
  }

  private take(buffer: Buffer, start: number, end: number): void {
    const { stream } = this;
    if (stream === undefined) return;
    if (this.kind === "caller") {
      // Every other stream is read slowly: nothing is given back before the end.
      if (stream.id % 4 === 1) stream.release(end - start);
      return;
    }
    this.held += end - start;
    if (this.manner === "echo") stream.sendData(buffer, start, end, false);
    if (this.manner === "reset") this.giveUp(() => stream.reset(ErrorCode.INTERNAL_ERROR));
    if (this.manner === "cancel") this.giveUp(() => stream.cancel(ErrorCode.CANCEL));
  }

  private answer(): void {
    const { stream } = this;
    if (this.kind === "caller" || stream === undefined || this.left || this.manner === "silent") return;
    if (this.held > 0) stream.release(this.held);
    this.held = 0;
    if (this.manner === "echo" || this.manner === "pour") stream.sendTrailers(this.headers.head([["x-done", "yes"]]));
    else stream.sendHead(this.headers.head([[":status", "204"]]), true);
  }

  private note(event: string, end: boolean): void {
    assert.equal(this.ended, false, `${event} after the end`);
    this.events.push(`${event}${end && event !== "end" ? " end" : ""}`);
    this.over = end;
  }
}

function fieldsOf(head: Head): string {
  return [...head.entries()].map(([name, value, secret]) => `${name}=${value}${secret ? " (secret)" : ""}`).join(";");
}
