/** Those who wait for something to be known. Each is told once, or gives it up before. */
export class ToldOnce {
  private readonly waiting = new Set<{ readonly callback: () => void }>();

  /** Returns what gives it up. */
  add(callback: () => void): () => void {
    const place = { callback };
    this.waiting.add(place);
    return () => this.waiting.delete(place);
  }

  /** Tells all who wait now. Who begins to wait meanwhile is not told, and who is given up meanwhile neither. */
  tell(): void {
    for (const place of [...this.waiting]) if (this.waiting.delete(place)) place.callback();
  }
}
