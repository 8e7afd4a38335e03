interface Named {
  readonly id: string;
  readonly name: string;
}

// Of one language, so that a server and a browser sort alike.
const names = new Intl.Collator("en", { numeric: true });
const lists = new WeakMap<ReadonlyMap<string, Named>, readonly Named[]>();

/** By name, then by id. The same state gives the same list. */
export function sorted<T extends Named>(state: ReadonlyMap<string, T>): readonly T[] {
  let list = lists.get(state) as readonly T[] | undefined;
  if (!list) {
    list = [...state.values()].sort((a, b) => names.compare(a.name, b.name) || (a.id < b.id ? -1 : 1));
    lists.set(state, list);
  }
  return list;
}
