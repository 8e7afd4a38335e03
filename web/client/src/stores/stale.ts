import type { Stale } from "../generated/events.js";
import { Part } from "./part.js";

/**
 * By aggregate: why what is shown of it is old, or may get so. It is stale as
 * long as one of its causes is; the first of them is shown.
 */
export class StaleAggregates extends Part<ReadonlyMap<string, Stale>> {
  #causes = new Map<string, Map<string, Stale>>();

  constructor() {
    super(new Map());
  }

  stale({ kind, aggregate, cause }: Stale): void {
    const causes = this.#causes.get(aggregate) ?? new Map<string, Stale>();
    this.#causes.set(aggregate, causes);
    if (causes.has(cause)) return;
    causes.set(cause, { kind, aggregate, cause });
    this.touch();
  }

  healed({ aggregate, cause }: Stale): void {
    const causes = this.#causes.get(aggregate);
    if (!causes?.delete(cause)) return;
    if (causes.size === 0) this.#causes.delete(aggregate);
    this.touch();
  }

  replace(all: readonly Stale[]): void {
    const before = [...this.#causes.values()].reduce((sum, { size }) => sum + size, 0);
    if (before === all.length && all.every(({ aggregate, cause }) => this.#causes.get(aggregate)?.has(cause))) return;
    this.#causes.clear();
    this.touch();
    for (const one of all) this.stale(one);
  }

  protected copy(): ReadonlyMap<string, Stale> {
    return new Map([...this.#causes].map(([aggregate, causes]) => [aggregate, causes.values().next().value as Stale]));
  }
}
