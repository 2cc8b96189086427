import type { Head } from "../../src/http/headers.ts";
import type { Stream } from "../../src/http2/stream.ts";
import { FakeStreamHost } from "../support/stream-host.ts";

/** What was written on a caller's stream. */
export interface Reply {
  /** A head with :status. */
  head: Head | undefined;
  trailers: Head | undefined;
  body: string;
  /** The answer is complete. */
  ended: boolean;
  /** Reset instead of an answer, or after it. */
  reset: number | undefined;
}

class ReplyHost extends FakeStreamHost {
  readonly reply: Reply = { head: undefined, trailers: undefined, body: "", ended: false, reset: undefined };

  override writeHead(stream: Stream, head: Head, end: boolean): void {
    super.writeHead(stream, head, end);
    if (head.get(":status") === undefined) this.reply.trailers = head;
    else this.reply.head = head;
    this.reply.ended ||= end;
  }

  override writeReset(stream: Stream, code: number): void {
    super.writeReset(stream, code);
    this.reply.reset = code;
  }
}

/** Writes an answer on a stream whose request has ended, or is still "open". */
export function replyOf(write: (stream: Stream) => void, request: "ended" | "open" = "ended"): Reply {
  const host = new ReplyHost();
  host.stream.change("recvHeaders");
  if (request === "ended") host.stream.change("recvEnd");
  write(host.stream);
  const body = Buffer.from(host.written, "latin1").toString("utf8");
  const fin = host.asked.some((what) => /^data \d+ end$/.test(what));
  return { ...host.reply, body, ended: host.reply.ended || fin };
}
