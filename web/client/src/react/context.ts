"use client";
import { createContext, useCallback, useContext, useSyncExternalStore } from "react";
import type { ReadonlyStore } from "../stores/part.js";
import type { Stores } from "../stores/stores.js";

/** What hooks read: the stores, and what was in them at first, as the server rendered it. */
export interface Scope {
  readonly stores: Stores;
  readonly initial: ReadonlyMap<unknown, unknown>;
}

export const ScopeContext = createContext<Scope | null>(null);

export function useScope(): Scope {
  const scope = useContext(ScopeContext);
  if (!scope) throw new Error("orbit: there is no <RealtimeProvider> around this component");
  return scope;
}

/**
 * What `select` makes of a store. The component renders when that changes, and
 * not when the rest of the store does: `select` must return something that is
 * in the store, or a primitive, or the same object for the same state.
 */
export function useStore<T, S>(pick: (stores: Stores) => ReadonlyStore<T>, select: (state: T) => S): S {
  const { stores, initial } = useScope();
  const store = pick(stores);
  const subscribe = useCallback(
    (changed: () => void) => {
      const subscription = store.subscribe(changed);
      return () => subscription.unsubscribe();
    },
    [store],
  );
  // Hydration compares with the server's markup, whatever has come since.
  return useSyncExternalStore(
    subscribe,
    () => select(store.state),
    () => select(initial.get(store) as T),
  );
}
