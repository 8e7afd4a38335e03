type Listener<A extends unknown[]> = (...args: A) => void;

/** Listeners to one thing. A listener that throws harms neither the others nor the stream. */
export class Listeners<A extends unknown[]> {
  #all = new Set<{ fn: Listener<A> }>();

  get size(): number {
    return this.#all.size;
  }

  /** Returns the function that removes the listener. */
  add(fn: Listener<A>): () => void {
    const entry = { fn }; // an object of its own: the same function may listen twice
    this.#all.add(entry);
    return () => void this.#all.delete(entry);
  }

  emit(...args: A): void {
    for (const { fn } of [...this.#all]) {
      try {
        fn(...args);
      } catch (error) {
        report(error);
      }
    }
  }
}

/** Shows an error where uncaught ones show. */
export function report(error: unknown): void {
  if (typeof reportError === "function") reportError(error);
  else
    queueMicrotask(() => {
      throw error;
    });
}
