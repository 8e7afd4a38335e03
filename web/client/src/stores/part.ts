import { Store } from "@tanstack/store";
import { same, Versioned, type Entity } from "./versioned.js";

/** A TanStack store that is written here alone: `state`, `get()` and `subscribe()`. */
export type ReadonlyStore<T> = Omit<Store<T>, "setState" | "actions">;

/**
 * A store and the working copy behind it. The working copy takes event after
 * event; `commit` shows the outcome, once for a whole burst.
 */
export abstract class Part<T> {
  readonly store: Store<T>;
  #touched = false;

  constructor(initial: T) {
    this.store = new Store(initial);
  }

  protected abstract copy(): T;

  protected touch(): void {
    this.#touched = true;
  }

  commit(): void {
    if (!this.#touched) return;
    this.#touched = false;
    const next = this.copy();
    this.store.setState(() => next);
  }
}

/** Entities by id. */
export class Entities<T extends Entity> extends Part<ReadonlyMap<string, T>> {
  #versioned = new Versioned<T>();

  constructor() {
    super(new Map());
  }

  put(entity: T): void {
    if (this.#versioned.put(entity)) this.touch();
  }

  remove(tombstone: Entity): void {
    if (this.#versioned.remove(tombstone)) this.touch();
  }

  replace(entities: readonly T[]): void {
    if (this.#versioned.replace(entities)) this.touch();
  }

  protected copy(): ReadonlyMap<string, T> {
    return new Map(this.#versioned.items);
  }
}

/** One value, replaced as a whole. */
export class Value<T> extends Part<T> {
  #current: T;

  constructor(initial: T) {
    super(initial);
    this.#current = initial;
  }

  /** Ahead of the store until the commit. */
  get current(): T {
    return this.#current;
  }

  set(value: T): void {
    if (Object.is(value, this.#current)) return;
    this.#current = value;
    this.touch();
  }

  protected copy(): T {
    return this.#current;
  }
}

/** The one entity of its kind. */
export class Single<T extends Entity> extends Value<T | null> {
  constructor() {
    super(null);
  }

  put(entity: T): void {
    if (!this.current || this.current.version < entity.version) this.set(entity);
  }

  replace(entity: T): void {
    if (!this.current || !same(this.current, entity)) this.set(entity);
  }
}

/** A set of ids. */
export class Ids extends Part<ReadonlySet<string>> {
  #ids = new Set<string>();

  constructor() {
    super(new Set());
  }

  put(id: string, within: boolean): void {
    if (this.#ids.has(id) === within) return;
    if (within) this.#ids.add(id);
    else this.#ids.delete(id);
    this.touch();
  }

  replace(ids: readonly string[]): void {
    const next = new Set(ids);
    if (next.size === this.#ids.size && ids.every((id) => this.#ids.has(id))) return;
    this.#ids = next;
    this.touch();
  }

  protected copy(): ReadonlySet<string> {
    return new Set(this.#ids);
  }
}
