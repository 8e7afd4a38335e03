/** The two people of the page. */
export const sides = ["left", "right"] as const;
export type Side = (typeof sides)[number];

/** How long a change may be on its way to a side that is live, in milliseconds, before it counts as lost. */
export const QUIET_MS = 5000;

/** What became of the changes that one side should have heard of. */
export interface Count {
  /** Changes that this side may see, since it is there. */
  readonly due: number;
  readonly received: number;
  readonly inFlight: number;
  /** Their projector is broken: they wait for an operator. */
  readonly held: number;
  /** Didn't come although the side is live, the server has nothing left to do, and it was quiet for 5 s. */
  readonly lost: number;
  /** Deliveries of something that had come before. */
  readonly twice: number;
}

export interface Totals extends Record<Side, Count> {
  /** Committed changes that the page knows of, by a command's answer or by an event. */
  readonly sent: number;
  /** Changes that are in flight to one side or both; and those that are held. */
  readonly inFlight: number;
  readonly held: number;
}

/** What the tally reads of a server event. */
export interface Arrival {
  readonly type: string;
  readonly cause: string;
  readonly channel: string;
  readonly aggregate?: string;
}

class SideTally {
  here = false;
  due = 0;
  received = 0;
  twice = 0;
  liveSince: number | null = null;
  readonly inFlight = new Map<string, number>(); // since when
  readonly held = new Map<string, string>(); // the aggregate
  readonly lost = new Set<string>();
  readonly done = new Set<string>();
  readonly seen = new Set<string>();

  expect(cause: string, now: number): void {
    if (!this.here || this.done.has(cause) || this.inFlight.has(cause) || this.held.has(cause) || this.lost.has(cause)) return;
    this.due++;
    this.inFlight.set(cause, now);
  }

  receive(cause: string): void {
    if (this.done.has(cause)) return;
    if (!this.take(cause)) this.due++;
    this.done.add(cause);
    this.received++;
  }

  hold(cause: string, aggregate: string): void {
    if (this.done.has(cause)) return;
    if (!this.take(cause)) this.due++;
    this.held.set(cause, aggregate);
  }

  /** Out of wherever it was; false: it wasn't expected. */
  private take(cause: string): boolean {
    return [this.inFlight, this.held, this.lost].map((part) => part.delete(cause)).includes(true);
  }

  get count(): Count {
    const { due, received, twice } = this;
    return { due, received, inFlight: this.inFlight.size, held: this.held.size, lost: this.lost.size, twice };
  }
}

/**
 * Compares what was committed with what each side received, by cause: the id of
 * the domain event behind a change. Nothing is counted on trust: a change that a
 * side should see and doesn't is in flight first, and lost in the end.
 */
export class Tally {
  readonly #causes = new Set<string>();
  readonly #sides: Record<Side, SideTally> = { left: new SideTally(), right: new SideTally() };
  readonly #listeners = new Set<() => void>();
  #totals: Totals;
  #scheduled = false;

  /** `schedule` delays telling the listeners, so that a burst is told once. */
  constructor(
    private readonly now: () => number = Date.now,
    private readonly schedule: (fn: () => void) => void = queueMicrotask,
  ) {
    this.#totals = this.#sum();
  }

  /** A side has its snapshot and hears of everything from now on. What came before is nobody's debt. */
  enter(side: Side): void {
    const tally = this.#sides[side];
    tally.here = true;
    this.#changed();
  }

  /** Signed out, removed, or somebody else's now: nothing is owed to it anymore. */
  leave(side: Side): void {
    const tally = this.#sides[side];
    tally.here = false;
    tally.liveSince = null;
    tally.due -= tally.inFlight.size + tally.held.size + tally.lost.size;
    for (const part of [tally.inFlight, tally.held, tally.lost]) part.clear();
    this.#changed();
  }

  /** A side is up to date, or isn't anymore. */
  live(side: Side, isLive: boolean): void {
    const tally = this.#sides[side];
    if (isLive !== (tally.liveSince !== null)) tally.liveSince = isLive ? this.now() : null;
  }

  /** A change was committed that these sides may see. */
  sent(cause: string, audience: readonly Side[] = sides): void {
    this.#causes.add(cause);
    for (const side of audience) this.#sides[side].expect(cause, this.now());
    this.#changed();
  }

  arrived(side: Side, { type, cause, channel, aggregate = "" }: Arrival): void {
    const tally = this.#sides[side];
    this.#causes.add(cause);
    if (type === "system.stale") tally.hold(cause, aggregate);
    else if (type === "system.healed") this.#healed(tally, aggregate);
    else {
      const delivery = `${cause} ${type} ${channel}`;
      if (tally.seen.has(delivery)) tally.twice++;
      tally.seen.add(delivery);
      tally.receive(cause);
    }
    // Whoever made it: what the whole workspace is told, the other side is told as well.
    if (channel.startsWith("workspace:"))
      for (const other of sides) if (other !== side) this.#sides[other].expect(cause, this.now());
    this.#changed();
  }

  /** A later change took the place of those that were held. */
  #healed(tally: SideTally, aggregate: string): void {
    for (const [cause, held] of [...tally.held]) if (held === aggregate) tally.receive(cause);
  }

  /** A side replaced everything by a snapshot: all it was waiting for is in it. */
  covered(side: Side): void {
    const tally = this.#sides[side];
    for (const cause of [...tally.inFlight.keys(), ...tally.held.keys(), ...tally.lost]) tally.receive(cause);
    this.#changed();
  }

  /** Looks for what is lost. `idle`: the server has projected all that was committed. */
  judge(idle: boolean): void {
    if (!idle) return;
    const before = this.now() - QUIET_MS;
    for (const side of sides) {
      const { inFlight, lost, liveSince } = this.#sides[side];
      if (liveSince === null || liveSince > before) continue;
      for (const [cause, since] of [...inFlight]) {
        if (since > before) continue;
        inFlight.delete(cause);
        lost.add(cause);
        this.#changed();
      }
    }
  }

  get totals(): Totals {
    return this.#totals;
  }

  subscribe = (fn: () => void): (() => void) => {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  };

  #changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.schedule(() => {
      this.#scheduled = false;
      this.#totals = this.#sum();
      for (const fn of this.#listeners) fn();
    });
  }

  #sum(): Totals {
    const { left, right } = this.#sides;
    return {
      sent: this.#causes.size,
      inFlight: new Set([...left.inFlight.keys(), ...right.inFlight.keys()]).size,
      held: new Set([...left.held.keys(), ...right.held.keys()]).size,
      left: left.count,
      right: right.count,
    };
  }
}
