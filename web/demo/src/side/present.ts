// Who is on the page: a command on one side asks what the other side will hear.
import type { Stores } from "@orbit/realtime/stores";
import { sides, type Side } from "../tally.js";

const present = new Map<Side, Stores>();

export function appear(side: Side, stores: Stores): () => void {
  present.set(side, stores);
  return () => {
    if (present.get(side) === stores) present.delete(side);
  };
}

export const whoHasRoom = (id: string): Side[] => sides.filter((side) => present.get(side)?.roomsStore.state.has(id));

export const whoIs = (memberId: string): Side[] => sides.filter((side) => present.get(side)?.meStore.state === memberId);
