import type { Head } from "../../src/http/headers.ts";
import { Stream, type StreamHost } from "../../src/http2/stream.ts";
import { RecvWindow } from "../../src/http2/window.ts";
import { RecordingHandler } from "./engine.ts";

/** A connection for one stream that writes down what the stream asks of it. `room` is what it can write. */
export class FakeStreamHost implements StreamHost {
  readonly asked: string[] = [];
  written = "";
  room = Number.POSITIVE_INFINITY;
  readonly handler = new RecordingHandler();
  readonly stream: Stream;

  constructor(id = 1) {
    this.stream = new Stream(id, this, this.handler, 65_535, new RecvWindow(65_535, 65_535, 0), 0);
    this.handler.stream = this.stream;
  }

  /** A stream on which a request came and an answer is due. */
  static answering(): FakeStreamHost {
    const host = new FakeStreamHost();
    host.stream.change("recvHeaders");
    return host;
  }

  writeHead(_stream: Stream, head: Head, end: boolean): void {
    this.asked.push(`head ${[...head.entries()].map(([name]) => name).join(",")}${end ? " end" : ""}`);
  }

  writeData(_stream: Stream, buffer: Buffer, start: number, end: number, fin: boolean): number {
    const taken = Math.min(end - start, this.room);
    this.room -= taken;
    this.written += buffer.toString("latin1", start, start + taken);
    if (taken > 0 || start === end) this.asked.push(`data ${taken}${fin && taken === end - start ? " end" : ""}`);
    return taken;
  }

  writeReset(_stream: Stream, code: number): void {
    this.asked.push(`reset ${code}`);
  }

  cancel(_stream: Stream, code: number): void {
    this.asked.push(`cancel ${code}`);
  }

  keep(): void {}

  wait(): void {
    this.asked.push("wait");
  }

  unwait(): void {
    this.asked.push("unwait");
  }

  release(_stream: Stream, octets: number): void {
    this.asked.push(`release ${octets}`);
  }

  drop(_stream: Stream, octets: number): void {
    this.asked.push(`drop ${octets}`);
  }

  closed(): void {
    this.asked.push("closed");
  }
}
