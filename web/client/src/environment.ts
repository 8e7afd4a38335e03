/** What the surroundings can tell. Inject another one where there is no `window`. */
export interface Environment {
  /** False only when there is certainly no network. */
  online(): boolean;
  /** Returns the function that stops listening. */
  listen(signals: Signals): () => void;
}

export interface Signals {
  /** The network is back, possibly another one. */
  online(): void;
  /** The page can be seen again; timers may have stood still. */
  wake(): void;
  /** The page goes, or is frozen: what stays open would keep it out of the back/forward cache. */
  hide(): void;
  /** The page is back from there. */
  show(): void;
}

/** The browser's; in Node it is always online and silent. */
export const browserEnvironment: Environment = {
  online: () => globalThis.navigator?.onLine !== false,
  listen(signals) {
    if (typeof addEventListener !== "function" || typeof document === "undefined") return () => {};
    const visible = () => {
      if (document.visibilityState === "visible") signals.wake();
    };
    const on: [EventTarget, string, () => void][] = [
      [globalThis, "online", signals.online],
      [globalThis, "pagehide", signals.hide],
      [globalThis, "pageshow", signals.show],
      // Chromium freezes tabs that were long out of sight.
      [document, "freeze", signals.hide],
      [document, "resume", signals.show],
      [document, "visibilitychange", visible],
    ];
    for (const [target, type, fn] of on) target.addEventListener(type, fn);
    return () => {
      for (const [target, type, fn] of on) target.removeEventListener(type, fn);
    };
  },
};
