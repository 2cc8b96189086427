import { type Link, LinkedList } from "./linked-list.ts";

/** One of those who share what is waited for. */
export interface Sharer {
  /** How much of it they have now. */
  readonly share: number;
}

/** Something in a queue, for whoever is to take it out again. */
export interface Queued<T> {
  readonly item: Link<T>;
  readonly line: Line<T>;
}

/** What waits of one sharer, in the order in which it came. */
class Line<T> {
  readonly sharer: Sharer;
  readonly items = new LinkedList<T>();
  size = 0;
  turn: Link<Line<T>> | undefined = undefined;
  rank: Link<Line<T>> | undefined = undefined;

  constructor(sharer: Sharer) {
    this.sharer = sharer;
  }
}

/** Of those whose turn comes next so many are compared: whoever looked at all could be kept busy by many. */
const COMPARED = 32;

/**
 * What waits, by whose it is. Whoever has the least share goes first, and those with equal shares take turns; of one sharer what has waited
 * longest is taken. So whoever has much, or much waiting, waits for their own, and nobody else does.
 *
 * Invariants:
 * - whatever was added leaves once, by `shift` or by `delete`;
 * - a line is in `lines` and in `turns` exactly while something of its sharer waits, and then in the rank of its size;
 * - `most` is the highest rank with anybody in it;
 * - each step but `entries` takes the same time, however many wait.
 */
export class FairQueue<T> {
  private readonly lines = new Map<Sharer, Line<T>>();
  private readonly turns = new LinkedList<Line<T>>();
  private readonly ranks: LinkedList<Line<T>>[] = [];
  private most = 0;
  size = 0;

  add(item: T, sharer: Sharer): Queued<T> {
    const line = this.lines.get(sharer) ?? new Line<T>(sharer);
    if (line.size === 0) {
      this.lines.set(sharer, line);
      line.turn = this.turns.add(line);
    }
    this.resize(line, line.size + 1);
    if (line.size > this.most) this.most = line.size;
    this.size++;
    return { item: line.items.add(item), line };
  }

  /** False where it has left already. */
  delete({ item, line }: Queued<T>): boolean {
    if (!line.items.delete(item)) return false;
    this.size--;
    this.resize(line, line.size - 1);
    // Whoever had most has only one less, so the next rank is not empty.
    if (this.ranks[this.most]?.first === undefined) this.most--;
    if (line.size > 0 || line.turn === undefined) return true;
    this.lines.delete(line.sharer);
    this.turns.delete(line.turn);
    return true;
  }

  /** Takes the one whose turn it is. The next turn of its sharer comes after everybody else's. */
  shift(): T | undefined {
    let turn = this.turns.first;
    for (let at = turn?.after, left = COMPARED; at !== undefined && left > 1; at = at.after, left--)
      if (turn !== undefined && at.item.sharer.share < turn.item.sharer.share) turn = at;
    const item = turn?.item.items.first;
    if (turn === undefined || item === undefined) return undefined;
    this.turns.delete(turn);
    this.turns.append(turn);
    this.delete({ item, line: turn.item });
    return item.item;
  }

  /** Of how many sharers something waits. */
  get sharers(): number {
    return this.lines.size;
  }

  /** How many wait of a sharer. */
  sizeOf(sharer: Sharer): number {
    return this.lines.get(sharer)?.size ?? 0;
  }

  /**
   * What has to leave if `sharer` is to have one more where there is no room: the newest of whoever has most waiting, as long as they keep
   * no fewer than the sharer gets. Undefined where it has its part.
   */
  rival(sharer: Sharer): T | undefined {
    const largest = this.ranks[this.most]?.first?.item;
    return largest !== undefined && this.sizeOf(sharer) + 1 < largest.size ? largest.items.last?.item : undefined;
  }

  /** A copy; what is one sharer's in its order. */
  entries(): Queued<T>[] {
    const all: Queued<T>[] = [];
    for (const line of this.lines.values())
      for (let item = line.items.first; item !== undefined; item = item.after) all.push({ item, line });
    return all;
  }

  private resize(line: Line<T>, size: number): void {
    if (line.rank !== undefined) this.ranks[line.size]?.delete(line.rank);
    line.size = size;
    this.ranks[size] ??= new LinkedList();
    line.rank = size === 0 ? undefined : this.ranks[size].add(line);
  }
}
