import { Copy } from "../core/copies.ts";
import type { Head } from "../http/headers.ts";
import type { Stream } from "../http2/stream.ts";
import type { Keeper, WaitingRoom } from "./waiting-room.ts";

/** How far one stream of an upstream has come with the request. */
export interface Upload {
  /** Octets that it has taken. */
  taken: number;
}

/** Where a request comes from: the caller's stream. */
export interface RequestSource {
  /** Gives octets back to the caller's window. */
  release(octets: number): void;
}

/**
 * The body of a request, as far as it is kept: all of it while no upstream takes it, and a copy of what has been sent for as
 * long as another attempt may still have to send it again.
 *
 * Invariants:
 * - `octets` is charged to the room and given back once, by `forget`;
 * - octets are released to the caller in their order and once, whatever the number of attempts: `released` is as far as the
 *   one that is furthest has come.
 */
export class RequestBody {
  private readonly room: WaitingRoom;
  private readonly keeper: Keeper | undefined;
  private readonly source: RequestSource;
  private chunks: Copy[] = [];
  private octets = 0;
  private released = 0;
  ended: boolean;
  trailers: Head | undefined = undefined;
  /** Everything so far is kept, so that it can be sent (again). */
  complete = true;

  /** `keeper`: whose request it is, where several share the room. */
  constructor(room: WaitingRoom, ended: boolean, source: RequestSource, keeper?: Keeper) {
    this.room = room;
    this.keeper = keeper;
    this.ended = ended;
    this.source = source;
  }

  /** Whether the request is its head alone. */
  get empty(): boolean {
    return this.ended && this.octets === 0 && this.complete && this.trailers === undefined;
  }

  /** Keeps a copy. False where that would go over `limit` octets for this call, or over what all calls may keep. */
  keep(buffer: Buffer, start: number, end: number, limit: number): boolean {
    if (start === end) return true;
    if (this.octets + end - start > limit || !this.room.hold(end - start, this.keeper)) return false;
    this.octets += end - start;
    Copy.push(this.chunks, buffer, start, end);
    return true;
  }

  /** Sends what is kept, from the beginning, on the stream of a new attempt. */
  sendTo(stream: Pick<Stream, "sendData" | "sendTrailers">, upload: Upload): void {
    const fin = this.ended && this.trailers === undefined;
    const last = this.chunks.length - 1;
    for (const [at, chunk] of this.chunks.entries())
      this.taken(upload, stream.sendData(chunk.buffer, 0, chunk.length, fin && at === last));
    if (last < 0 && fin) stream.sendData(NOTHING, 0, 0, true);
    if (this.trailers !== undefined) stream.sendTrailers(this.trailers);
  }

  /** An upstream has taken octets. */
  taken(upload: Upload, octets: number): void {
    upload.taken += octets;
    const news = upload.taken - this.released;
    if (news <= 0) return;
    this.released = upload.taken;
    this.source.release(news);
  }

  /** Octets that are kept. */
  get size(): number {
    return this.octets;
  }

  /** Gives a copy of what is kept to another body. */
  copyTo(other: RequestBody): void {
    for (const { buffer, length } of this.chunks)
      if (!other.keep(buffer, 0, length, Number.POSITIVE_INFINITY)) other.forget();
    other.trailers = this.trailers;
  }

  /** No attempt will need it again. */
  forget(): void {
    this.complete = false;
    if (this.octets === 0) return;
    this.room.letGo(this.octets, this.keeper);
    this.octets = 0;
    for (const chunk of this.chunks) chunk.free();
    this.chunks = [];
  }
}

const NOTHING = Buffer.alloc(0);
