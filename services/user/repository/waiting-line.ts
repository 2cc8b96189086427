interface Waiter<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** Those who wait for something that is given out one by one, in the order in which they came. */
export class WaitingLine<T> {
  readonly #waiters = new Set<Waiter<T>>();

  get length(): number {
    return this.#waiters.size;
  }

  /** Waits at most so many ms, and then rejects with the error of `late`; rejects with the signal's reason before. */
  join(signal: AbortSignal, ms: number, late: () => Error): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const onAbort = (): void => waiter.reject(signal.reason);
    const timer = setTimeout(() => waiter.reject(late()), ms);
    const leave = (): void => {
      this.#waiters.delete(waiter);
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    const waiter: Waiter<T> = {
      resolve: (value) => {
        leave();
        resolve(value);
      },
      reject: (error) => {
        leave();
        reject(error);
      },
    };
    signal.addEventListener("abort", onAbort);
    this.#waiters.add(waiter);
    return promise;
  }

  /** Gives something to the first one; says whether there was one. */
  give(value: T): boolean {
    const [first] = this.#waiters;
    first?.resolve(value);
    return first !== undefined;
  }

  /** Sends all away. */
  dismiss(error: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}
