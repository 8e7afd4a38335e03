/** What the tabs of one origin have in common: locks, and channels between them. */
export interface Tabs {
  readonly locks: TabLocks;
  openChannel(name: string): TabChannel;
}

/** The part of `navigator.locks` that is used. */
export interface TabLocks {
  request(
    name: string,
    options: { readonly signal?: AbortSignal; readonly steal?: boolean },
    granted: () => Promise<void> | undefined,
  ): Promise<unknown>;
}

/** The part of a `BroadcastChannel` that is used. */
export interface TabChannel {
  onmessage: ((event: any) => void) | null;
  postMessage(data: unknown): void;
  close(): void;
}

/**
 * The browser's, or `null` where there are none: on a page without https (Web
 * Locks are for secure contexts only), in an old browser, and in Node, whose
 * processes share nothing.
 */
export function browserTabs(): Tabs | null {
  const { isSecureContext, navigator, BroadcastChannel } = globalThis;
  if (!isSecureContext || !navigator.locks || !BroadcastChannel) return null;
  return { locks: navigator.locks as TabLocks, openChannel: (name) => new BroadcastChannel(name) };
}
