import type { Clock } from "./clock.js";

/** How long a fallback is kept before the better transports are tried again. */
export const FALLBACK_MS = 10 * 60_000;

/** The part of `localStorage` that is used. */
export type KeyValueStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/**
 * Remembers which transport this network lets through, so that the next page
 * load doesn't find out anew. A storage that is full, forbidden or spoilt is as
 * good as an empty one.
 */
export class Preference {
  constructor(
    private readonly storage: KeyValueStorage | null,
    private readonly key: string,
    private readonly clock: Clock,
  ) {}

  /** The transport to begin with and until when, in the clock's milliseconds. */
  recall(): { name: string; until: number } | null {
    try {
      const { name, until } = JSON.parse(this.storage?.getItem(this.key) ?? "") as { name: string; until: number };
      const left = until - this.clock.now();
      return left > 0 && left <= FALLBACK_MS ? { name, until } : null; // more: the clock was set back
    } catch {
      return null;
    }
  }

  /** Returns until when. */
  remember(name: string): number {
    const until = this.clock.now() + FALLBACK_MS;
    try {
      this.storage?.setItem(this.key, JSON.stringify({ name, until }));
    } catch {
      // The next page load finds out by itself.
    }
    return until;
  }

  forget(): void {
    try {
      this.storage?.removeItem(this.key);
    } catch {
      // It expires.
    }
  }
}

/** `localStorage`, or `null` where reading the property alone is forbidden. */
export function localStorageOrNull(): KeyValueStorage | null {
  try {
    return globalThis.localStorage ?? null;
  } catch {
    return null;
  }
}
