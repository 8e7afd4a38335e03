export interface Entity {
  readonly id: string;
  readonly version: number;
}

/** How many deleted entities are remembered, the latest ones: late news of them must not bring them back. */
const BURIED = 1000;

/**
 * Entities by id, each in the newest version that was seen, whatever order they
 * come in. Where an entity and its tombstone have the same version, it is gone.
 */
export class Versioned<T extends Entity> {
  readonly items = new Map<string, T>();
  #buried = new Map<string, number>(); // version by id

  /** True: it was news. */
  put(entity: T): boolean {
    const { id, version } = entity;
    const known = this.items.get(id)?.version ?? this.#buried.get(id) ?? -1;
    if (version <= known) return false;
    this.#buried.delete(id);
    this.items.set(id, entity);
    return true;
  }

  /** True: it was there. */
  remove({ id, version }: Entity): boolean {
    if (version < (this.items.get(id)?.version ?? this.#buried.get(id) ?? -1)) return false;
    this.#buried.delete(id); // back in line as the latest
    this.#buried.set(id, version);
    if (this.#buried.size > BURIED) this.#buried.delete(this.#buried.keys().next().value as string);
    return this.items.delete(id);
  }

  /**
   * Takes a list for the whole truth, older versions too: history may have been
   * lost. What is the same stays the same object. True: something differs.
   */
  replace(entities: readonly T[]): boolean {
    const before = new Map(this.items);
    this.items.clear();
    this.#buried.clear();
    let differs = false;
    for (const entity of entities) {
      const had = before.get(entity.id);
      const keep = had && same(had, entity);
      differs ||= !keep;
      this.items.set(entity.id, keep ? had : entity);
    }
    return differs || this.items.size !== before.size;
  }
}

/** Entities are plain JSON, written by one encoder: the same text is the same state. */
export function same(a: Entity, b: Entity): boolean {
  return a.version === b.version && JSON.stringify(a) === JSON.stringify(b);
}
