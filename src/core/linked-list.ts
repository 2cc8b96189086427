/** An item's place in a list, or in none any more. */
export interface Link<T> {
  readonly item: T;
  /** Owned by the list. */
  list: LinkedList<T> | undefined;
  before: Link<T> | undefined;
  after: Link<T> | undefined;
}

/**
 * Items in an order, of which any can be taken out at no more cost than the first. A Set would do, if what was deleted from its front did
 * not have to be stepped over.
 *
 * Invariant: a link is in the list exactly while its `list` says so.
 */
export class LinkedList<T> {
  first: Link<T> | undefined = undefined;
  last: Link<T> | undefined = undefined;

  /** Puts an item at the end. */
  add(item: T): Link<T> {
    const link: Link<T> = { item, list: undefined, before: undefined, after: undefined };
    this.append(link);
    return link;
  }

  /** Puts a link that is in no list at the end. */
  append(link: Link<T>): void {
    link.list = this;
    link.before = this.last;
    if (this.last === undefined) this.first = link;
    else this.last.after = link;
    this.last = link;
  }

  /** False where it is not in the list. */
  delete(link: Link<T>): boolean {
    if (link.list !== this) return false;
    const { before, after } = link;
    if (before === undefined) this.first = after;
    else before.after = after;
    if (after === undefined) this.last = before;
    else after.before = before;
    link.list = undefined;
    link.before = undefined;
    link.after = undefined;
    return true;
  }
}
