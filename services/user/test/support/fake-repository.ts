import type {
  ChangePage,
  DeleteResult,
  InsertResult,
  PageLimits,
  User,
  UserChange,
  UserPage,
  UserPatch,
  UserRecord,
  UserRepository,
  WriteResult,
} from "../../repository/user.ts";

/**
 * A repository in a Map, which passes the same contract as the real ones. A test may make it fail, or hold calls until
 * it says so.
 */
export class FakeUserRepository implements UserRepository {
  /** Thrown by every call while it is set. */
  failure: Error | undefined;
  /** Calls wait for it, or for their signal. */
  gate: Promise<void> | undefined;
  /** Names of the calls that came, in order. */
  readonly calls: string[] = [];
  /** How many calls ended because their signal was aborted. */
  interrupted = 0;
  readonly #users = new Map<string, User>();
  readonly #deleted: { revision: bigint; id: string }[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #reachableListeners = new Set<(reachable: boolean) => void>();
  #revision = 0n;
  #closed = false;

  get listeners(): number {
    return this.#listeners.size;
  }

  get(id: string, signal: AbortSignal): Promise<User | undefined> {
    return this.#call("get", signal, () => this.#users.get(id));
  }

  insert(records: readonly UserRecord[], at: Date, signal: AbortSignal): Promise<InsertResult[]> {
    return this.#call("insert", signal, () =>
      records.map((record): InsertResult => {
        if (this.#users.has(record.id)) return { kind: "taken", field: "id" };
        return this.#store(record, at, at);
      }),
    );
  }

  update(
    id: string,
    patch: UserPatch,
    expected: bigint | undefined,
    at: Date,
    signal: AbortSignal,
  ): Promise<WriteResult> {
    return this.#call("update", signal, () => {
      const old = this.#users.get(id);
      return old ? this.#replace(old, { ...old, ...patch }, expected, at) : { kind: "missing" };
    });
  }

  put(record: UserRecord, expected: bigint | undefined, at: Date, signal: AbortSignal): Promise<WriteResult> {
    return this.#call("put", signal, () => {
      const old = this.#users.get(record.id);
      if (old) return this.#replace(old, record, expected, at);
      return expected === undefined ? this.#store(record, at, at) : { kind: "missing" };
    });
  }

  delete(id: string, expected: bigint | undefined, signal: AbortSignal): Promise<DeleteResult> {
    return this.#call("delete", signal, () => {
      const old = this.#users.get(id);
      if (old === undefined) return { kind: "missing" };
      if (expected !== undefined && expected !== old.version) return { kind: "stale", version: old.version };
      this.#users.delete(id);
      this.#deleted.push({ revision: this.#next(), id });
      return { kind: "deleted" };
    });
  }

  list(after: string | undefined, limits: PageLimits, signal: AbortSignal): Promise<UserPage> {
    return this.#call("list", signal, () => {
      const rest = [...this.#users.values()].filter(({ id }) => after === undefined || id > after);
      const sorted = rest.sort((a, b) => (a.id < b.id ? -1 : 1));
      const users = take(sorted, limits, ({ picture }) => picture.byteLength);
      return { users, next: users.length < sorted.length ? users.at(-1)?.id : undefined };
    });
  }

  revision(signal: AbortSignal): Promise<bigint> {
    return this.#call("revision", signal, () => this.#revision);
  }

  changes(after: bigint, limits: PageLimits, signal: AbortSignal): Promise<ChangePage> {
    return this.#call("changes", signal, () => {
      if (after > this.#revision) return { kind: "outOfRange", oldest: 0n, newest: this.#revision };
      const puts = [...this.#users.values()].map((user): UserChange => ({ kind: "put", revision: user.version, user }));
      const all = [...puts, ...this.#deleted.map((each): UserChange => ({ kind: "deleted", ...each }))];
      const rest = all.filter(({ revision }) => revision > after).sort((a, b) => Number(a.revision - b.revision));
      const bytesOf = (change: UserChange) => (change.kind === "put" ? change.user.picture.byteLength : 0);
      return { kind: "changes", changes: take(rest, limits, bytesOf) };
    });
  }

  onChange(listener: () => void): () => void {
    const entry = () => listener();
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  onReachable(listener: (reachable: boolean) => void): () => void {
    this.#reachableListeners.add(listener);
    return () => this.#reachableListeners.delete(listener);
  }

  /** Tells that the store can be reached, or not; calls do not care. */
  setReachable(reachable: boolean): void {
    for (const listener of this.#reachableListeners) listener(reachable);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #replace(old: User, record: UserRecord, expected: bigint | undefined, at: Date): WriteResult {
    if (expected !== undefined && expected !== old.version) return { kind: "stale", version: old.version };
    return this.#store(record, old.createdAt, at);
  }

  #store(record: UserRecord, createdAt: Date, updatedAt: Date) {
    const { id, email, displayName, picture } = record;
    const taken = [...this.#users.values()].some(
      (other) => other.id !== id && other.email.toLowerCase() === email.toLowerCase(),
    );
    if (taken) return { kind: "taken", field: "email" } as const;
    const user: User = { id, email, displayName, picture, version: this.#next(), createdAt, updatedAt };
    this.#users.set(id, user);
    return { kind: "stored", user } as const;
  }

  #next(): bigint {
    this.#revision += 1n;
    return this.#revision;
  }

  async #call<T>(name: string, signal: AbortSignal, work: () => T): Promise<T> {
    this.calls.push(name);
    if (this.gate) await Promise.race([this.gate, aborted(signal)]);
    if (signal.aborted) this.interrupted++;
    signal.throwIfAborted();
    if (this.#closed) throw new Error("the repository is closed");
    if (this.failure) throw this.failure;
    const before = this.#revision;
    const result = work();
    if (this.#revision !== before) for (const listener of this.#listeners) listener();
    return result;
  }
}

function take<T>(items: readonly T[], limits: PageLimits, bytesOf: (item: T) => number): T[] {
  const taken: T[] = [];
  let bytes = 0;
  for (const item of items.slice(0, limits.items)) {
    taken.push(item);
    bytes += bytesOf(item);
    if (bytes >= limits.bytes) break;
  }
  return taken;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
