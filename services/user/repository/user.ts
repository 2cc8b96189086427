/** A user as it is stored. */
export interface User {
  readonly id: string;
  readonly email: string;
  readonly displayName: string;
  readonly picture: Uint8Array;
  /** The revision of the store at which this user was last changed; never used twice, not even after a deletion. */
  readonly version: bigint;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What a caller gives to store a user: all of it. */
export interface UserRecord {
  readonly id: string;
  readonly email: string;
  readonly displayName: string;
  readonly picture: Uint8Array;
}

/** The fields that an update replaces; an absent one stays as it is. */
export type UserPatch = Partial<Omit<UserRecord, "id">>;

/** The user as it stands now. */
export type Stored = { readonly kind: "stored"; readonly user: User };
/** No user has the id. */
export type Missing = { readonly kind: "missing" };
/** The user is at another version than the caller meant. */
export type Stale = { readonly kind: "stale"; readonly version: bigint };
/** Another user has this id, or this address in whatever case. */
export type Taken<Field extends "id" | "email"> = { readonly kind: "taken"; readonly field: Field };

/** What became of an insertion. */
export type InsertResult = Stored | Taken<"id" | "email">;
/** What became of an update. */
export type WriteResult = Stored | Missing | Stale | Taken<"email">;
/** What became of a deletion. */
export type DeleteResult = { readonly kind: "deleted" } | Missing | Stale;

/** What became of one user. */
export type UserChange =
  | { readonly kind: "put"; readonly revision: bigint; readonly user: User }
  | { readonly kind: "deleted"; readonly revision: bigint; readonly id: string };

/** How much one page may hold. It always holds one item where there is one, however large. */
export interface PageLimits {
  readonly items: number;
  /** Bytes of pictures after which a page ends. */
  readonly bytes: number;
}

/** A page of users, in the order of their ids. */
export interface UserPage {
  readonly users: readonly User[];
  /** The id after which the next page begins; undefined on the last page. */
  readonly next: string | undefined;
}

/** A page of changes, in the order of their revisions. */
export type ChangePage =
  | { readonly kind: "changes"; readonly changes: readonly UserChange[] }
  /** The revision is older than what deletions are remembered for, or newer than the store. */
  | { readonly kind: "outOfRange"; readonly oldest: bigint; readonly newest: bigint };

/**
 * Where users are kept. `test/repository-contract.ts` is this interface as tests; every implementation passes it.
 *
 * - Each method is one transaction. It rejects with a `StoreError` where the caller may try again, with another error
 *   for another failure of the store, and with the signal's reason when the signal is aborted; everything else that a
 *   caller can be told is a result.
 * - The store has one revision, which grows by one with each change and becomes visible in that order.
 * - `expected` undefined means whatever version the user is at.
 */
export interface UserRepository {
  get(id: string, signal: AbortSignal): Promise<User | undefined>;

  /** Creates users, each for itself: one that is taken does not hold up the others. Results are in the same order. */
  insert(records: readonly UserRecord[], at: Date, signal: AbortSignal): Promise<InsertResult[]>;

  /** Replaces fields of a user that exists. */
  update(
    id: string,
    patch: UserPatch,
    expected: bigint | undefined,
    at: Date,
    signal: AbortSignal,
  ): Promise<WriteResult>;

  /** Replaces a user, or creates it where it does not exist and no version is expected. */
  put(record: UserRecord, expected: bigint | undefined, at: Date, signal: AbortSignal): Promise<WriteResult>;

  delete(id: string, expected: bigint | undefined, signal: AbortSignal): Promise<DeleteResult>;

  /** The users with ids above `after`, compared byte by byte; from the beginning if it is undefined. */
  list(after: string | undefined, limits: PageLimits, signal: AbortSignal): Promise<UserPage>;

  /** The revision of the last change; 0 in an empty store. */
  revision(signal: AbortSignal): Promise<bigint>;

  /** The users that changed after a revision, each once in its latest state, in the order of their revisions. */
  changes(after: bigint, limits: PageLimits, signal: AbortSignal): Promise<ChangePage>;

  /**
   * Calls the listener after changes became visible, also those of other processes on the same store, at once for
   * our own and within 250 ms for theirs; sometimes without cause. Returns the way to stop.
   */
  onChange(listener: () => void): () => void;

  /**
   * Calls the listener when the store can no longer be reached, with false, and when it can again, with true. It can when
   * the repository is opened. Returns the way to stop.
   */
  onReachable(listener: (reachable: boolean) => void): () => void;

  /** Ends what it holds; later calls reject. */
  close(): Promise<void>;
}
