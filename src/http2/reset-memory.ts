/**
 * Streams that are remembered: some times as many as can be open at once, as what is on its way of each of them may not be
 * taken for a fault of the peer.
 */
const SIZE = 4096;

/** The streams that a connection has reset lately. */
export class ResetMemory {
  private readonly ids = new Set<number>();

  add(id: number): void {
    this.ids.add(id);
    if (this.ids.size <= SIZE) return;
    const [oldest] = this.ids;
    if (oldest !== undefined) this.ids.delete(oldest);
  }

  has(id: number): boolean {
    return this.ids.has(id);
  }
}
