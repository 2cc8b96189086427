/**
 * A current value and the notice of its change.
 *
 * Invariants: a listener is called once per `set`, after the value is in place; a listener added during a notice is
 * not called for that notice; the function that `onChange` returns removes the listener and is idempotent.
 */
export class Watch<T> {
  private value: T;
  private readonly listeners = new Set<(value: T) => void>();

  constructor(initial: T) {
    this.value = initial;
  }

  get current(): T {
    return this.value;
  }

  set(value: T): void {
    this.value = value;
    for (const listener of [...this.listeners]) listener(value);
  }

  onChange(listener: (value: T) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}
