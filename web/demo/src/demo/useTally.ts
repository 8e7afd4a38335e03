import { createContext, useContext, useEffect, useSyncExternalStore } from "react";
import { Tally, type Totals } from "../tally.js";
import { useDemoState } from "./api.js";

export const TallyContext = createContext(new Tally(Date.now, (fn) => void setTimeout(fn, 50)));

export const useTally = (): Tally => useContext(TallyContext);

export function useTotals(): Totals {
  const tally = useTally();
  return useSyncExternalStore(tally.subscribe, () => tally.totals);
}

/** Looks for what is lost, whenever the server's state is known. */
export function useJudge(): void {
  const tally = useTally();
  const { state, isDown } = useDemoState();
  useEffect(() => tally.judge(!isDown && state?.waiting === 0), [tally, state, isDown]);
}
