import { expect } from "vitest";
import type { World } from "./world.js";

export const offsetOf = (id: string) => Number(id.split("-")[1]);

/** Checks one channel's entries: each once, in order, none missing but what a snapshot has. */
export class Witness {
  snapshot = 0; // what lies up to here is in a snapshot
  constructor(
    private readonly world: World,
    private readonly channel: string,
    public have: number,
  ) {}

  #next(after: number): number | undefined {
    return this.world.log.find(({ offset, channel }) => offset > after && channel === this.channel)?.offset;
  }

  saw(offset: number): void {
    // A room's entries may go on from any place within what the snapshot has:
    // the page fetches the room's messages anew.
    if (offset <= this.snapshot && this.channel.startsWith("room:")) expect(offset).toBeGreaterThan(this.have);
    else
      expect([this.#next(this.have), this.#next(Math.max(this.have, this.snapshot))], this.channel).toContain(offset);
    this.have = offset;
  }

  /** A snapshot covers what lies before it. */
  covered(offset: number): void {
    this.snapshot = offset;
    if (!this.channel.startsWith("room:")) this.have = offset;
  }

  complete(): void {
    expect(this.#next(Math.max(this.have, this.snapshot)), `missing on ${this.channel}`).toBeUndefined();
  }
}
