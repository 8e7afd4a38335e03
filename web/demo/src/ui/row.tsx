import { useStale } from "@orbit/realtime/react";
import { useEffect, useRef, type ReactNode } from "react";

interface Entity {
  readonly id: string;
  readonly version: number;
}

/** A row of a list. It lights up when its entity changes, so that eyes find what an event did. */
export function Row({ entity, children }: { readonly entity: Entity; readonly children: ReactNode }) {
  const row = useRef<HTMLLIElement>(null);
  const version = useRef(entity.version);
  useEffect(() => {
    if (version.current === entity.version) return;
    version.current = entity.version;
    const { current } = row;
    if (!current) return;
    current.classList.remove("changed");
    void current.offsetWidth; // or the browser would not see it go, and not begin again
    current.classList.add("changed");
  }, [entity.version]);
  return (
    <li ref={row} className="row">
      {children}
    </li>
  );
}

/** Says that what is shown is old, while its projector can't bring it up to date. */
export function StaleBadge({ id }: { readonly id: string }) {
  const stale = useStale(id);
  if (!stale) return null;
  return (
    <span className="badge warn" title="Its last change is saved, but its projector is broken">
      out of date
    </span>
  );
}
