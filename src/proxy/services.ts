import type { Logger } from "pino";
import type { Deadlines } from "../core/deadlines.ts";
import type { Callers } from "../http/callers.ts";
import type { HeadFilter } from "../http/head-edit.ts";
import type { HeaderTable } from "../http/headers.ts";
import type { FlushLoop } from "../http2/flush-loop.ts";
import type { Explanations } from "../observability/explain/explanations.ts";
import type { Tracer } from "../observability/tracing/tracer.ts";
import type { ExplainCallers } from "./explain-trailer.ts";
import type { FairRoom } from "./fair-room.ts";
import type { LocalReply } from "./local-reply.ts";
import type { RequestTrailers } from "./request-trailers.ts";

/** What every exchange of one direction shares. */
export interface ExchangeServices {
  readonly loop: FlushLoop;
  readonly headers: HeaderTable;
  readonly deadlines: Deadlines;
  /** Who has connections to this sidecar. */
  readonly callers: Callers;
  /** Where calls wait, and how much of requests is kept. */
  readonly room: FairRoom;
  readonly reply: LocalReply;
  readonly log: Logger;
  /** What is decided about each call. */
  readonly explanations: Explanations;
  readonly explainCallers: ExplainCallers;
  readonly tracer: Tracer;
  /** Octets of a request that are kept for another attempt until its answer begins. */
  readonly replay: number;
  /** Edits of heads, each remembered by header list. */
  readonly edits: {
    /** Removes every `outrigger-*` field: what applications and strangers say in our name. */
    readonly foreign: HeadFilter;
    /** Removes what one sidecar tells another and no application needs. */
    readonly consumed: HeadFilter;
  };
  readonly trailers: RequestTrailers;
}
