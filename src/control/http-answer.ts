/** An answer of admin or probe. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Done once the answer has been written or cannot be. */
  readonly after?: () => void;
}

/** A request that has been read. */
export interface HttpRequest {
  readonly method: string;
  /** The path without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** The fields by lower-case name; the first where a name stands twice. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The address of this machine that the connection came to; undefined on a unix socket. */
  readonly localAddress: string | undefined;
  /** The address of who asks. */
  readonly remoteAddress: string | undefined;
  readonly body: string;
}

/** A value as JSON, indented: people read it too. */
export function json(status: number, value: unknown): HttpAnswer {
  return { status, contentType: "application/json; charset=utf-8", body: `${JSON.stringify(value, undefined, 2)}\n` };
}

/** What went wrong, as `{"error": …}`. */
export function problem(status: number, error: string, headers: Readonly<Record<string, string>> = {}): HttpAnswer {
  return { ...json(status, { error }), headers };
}

/** Text that a stranger sent, short enough to be said back. */
export function quote(text: string): string {
  return JSON.stringify(text.length <= 100 ? text : `${text.slice(0, 100)}…`);
}
