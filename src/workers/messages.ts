import type { Config, SourceKind } from "../config/types.ts";
import type { Address } from "../core/address.ts";
import type { Discovered } from "../discovery/source.ts";
import type { Grant } from "../limits/lease-store.ts";
import type { LogLevel } from "../observability/log.ts";
import type { ApplyResult, UpstreamNews } from "../runtime/runtime.ts";

/** What people ask of a sidecar and every worker has a part of the answer to. */
export type Question =
  | { readonly kind: "clusters" | "connections" | "metrics" }
  | { readonly kind: "explain"; readonly id: string }
  | { readonly kind: "latestCalls"; readonly count: number; readonly failed: boolean };

/** With what a worker begins. */
export interface WorkerStart {
  readonly config: Config;
  readonly version: string;
  /** How many workers there are. */
  readonly workers: number;
  /** Where the control thread listens: admin and probe. */
  readonly control: readonly Address[];
  /** See `Elsewhere`. */
  readonly ends: SharedArrayBuffer;
}

/** From the control thread to a worker. */
export type ToWorker =
  | { readonly kind: "apply"; readonly id: number; readonly config: Config }
  | { readonly kind: "discovered"; readonly subscription: number; readonly state: Discovered }
  | { readonly kind: "granted"; readonly id: number; readonly grant: Grant | undefined }
  | { readonly kind: "ask"; readonly id: number; readonly question: Question }
  | { readonly kind: "logLevel"; readonly level: LogLevel }
  | { readonly kind: "drain" }
  /** The service is out of discovery. */
  | { readonly kind: "withdrawn" }
  | { readonly kind: "stop" }
  /** Another worker has learned something. */
  | { readonly kind: "news"; readonly news: UpstreamNews };

/** From a worker to the control thread: what is between it and its `Member`. */
export type ToMember =
  | { readonly kind: "subscribe"; readonly subscription: number; readonly source: SourceKind; readonly name: string }
  | { readonly kind: "unsubscribe"; readonly subscription: number }
  | { readonly kind: "answer"; readonly id: number; readonly answer: unknown }
  | { readonly kind: "applied"; readonly id: number; readonly result: ApplyResult };

/** From a worker to the control thread: what concerns all of them. */
export type ToCrew =
  | { readonly kind: "started" }
  | { readonly kind: "failed"; readonly message: string }
  | {
      readonly kind: "lease";
      readonly id: number;
      readonly limit: string;
      readonly key: string;
      readonly calls: number;
    }
  | { readonly kind: "inboundEnded" }
  | { readonly kind: "drained"; readonly cut: number }
  | { readonly kind: "log"; readonly line: string }
  | { readonly kind: "news"; readonly news: UpstreamNews };

/** All that a worker says to the control thread. */
export type FromWorker = ToMember | ToCrew;
