import type { SystemHealedEvent, SystemStaleEvent } from "../generated/events.js";
import { Part } from "./part.js";

/** Why what is shown of an aggregate is old: the first of its changes that the server could not project. */
export interface Stale {
  /** `workspace`, `member`, `role`, `team`, `subscription`, `room`, `message` or `notification`. */
  readonly kind: string;
  /** The change: the `Orbit-Event-Id` of the command's answer. */
  readonly cause: string;
  /** When it was made (RFC 3339). */
  readonly at: string;
}

/** By aggregate. It is stale as long as one of its causes is. */
export class StaleAggregates extends Part<ReadonlyMap<string, Stale>> {
  #causes = new Map<string, Map<string, Stale>>();

  constructor() {
    super(new Map());
  }

  stale({ aggregate, kind, cause, at }: SystemStaleEvent): void {
    const causes = this.#causes.get(aggregate) ?? new Map<string, Stale>();
    this.#causes.set(aggregate, causes);
    if (causes.has(cause)) return;
    causes.set(cause, { kind, cause, at });
    this.touch();
  }

  healed({ aggregate, cause }: SystemHealedEvent): void {
    const causes = this.#causes.get(aggregate);
    if (!causes?.delete(cause)) return;
    if (causes.size === 0) this.#causes.delete(aggregate);
    this.touch();
  }

  clear(): void {
    if (this.#causes.size === 0) return;
    this.#causes.clear();
    this.touch();
  }

  protected copy(): ReadonlyMap<string, Stale> {
    return new Map([...this.#causes].map(([aggregate, causes]) => [aggregate, causes.values().next().value as Stale]));
  }
}
