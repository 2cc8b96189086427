import { type Link, LinkedList } from "./linked-list.ts";

/** One of those who share what is waited for. */
export interface Sharer {
  /** How much of it they have now. */
  readonly share: number;
}

/** Something in a queue, for whoever is to take it out again. */
export interface Queued<T> {
  readonly link: Link<T>;
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
 * - the last rank has somebody in it, or nothing waits;
 * - each step but `entries` takes the same time, however many wait.
 */
export class FairQueue<T> {
  private readonly lines = new Map<Sharer, Line<T>>();
  private readonly turns = new LinkedList<Line<T>>();
  private readonly ranks: LinkedList<Line<T>>[] = [];
  size = 0;

  add(item: T, sharer: Sharer): Queued<T> {
    const line = this.lines.get(sharer) ?? new Line<T>(sharer);
    if (line.size === 0) {
      this.lines.set(sharer, line);
      line.turn = this.turns.add(line);
    }
    this.resize(line, line.size + 1);
    this.size++;
    return { link: line.items.add(item), line };
  }

  /** False where it has left already. */
  delete({ link, line }: Queued<T>): boolean {
    if (!line.items.delete(link)) return false;
    this.size--;
    this.resize(line, line.size - 1);
    // Whoever had most has one less, so the rank before is not empty.
    if (this.ranks.at(-1)?.first === undefined) this.ranks.pop();
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
    const link = turn?.item.items.first;
    if (turn === undefined || link === undefined) return undefined;
    this.turns.delete(turn);
    this.turns.append(turn);
    this.delete({ link, line: turn.item });
    return link.item;
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
    const largest = this.ranks.at(-1)?.first?.item;
    return largest !== undefined && this.sizeOf(sharer) + 1 < largest.size ? largest.items.last?.item : undefined;
  }

  /** A copy; what is one sharer's in its order. */
  entries(): Queued<T>[] {
    const all: Queued<T>[] = [];
    for (const line of this.lines.values())
      for (let link = line.items.first; link !== undefined; link = link.after) all.push({ link, line });
    return all;
  }

  /** Sizes change by one, so that no rank is left out. */
  private resize(line: Line<T>, size: number): void {
    if (line.rank !== undefined) this.ranks[line.size]?.delete(line.rank);
    line.size = size;
    this.ranks[size] ??= new LinkedList();
    line.rank = size === 0 ? undefined : this.ranks[size].add(line);
  }
}
