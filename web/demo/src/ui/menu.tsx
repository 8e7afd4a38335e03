import { useEffect, useId, useRef, useState } from "react";

export interface Action {
  readonly label: string;
  readonly isDanger?: boolean;
  readonly run: () => void;
}

/** A button with what can be done with a thing; nothing if that is nothing. */
export function Menu({ of, actions }: { readonly of: string; readonly actions: readonly (Action | false | null)[] }) {
  const [isOpen, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const id = useId();
  useEffect(() => {
    if (!isOpen) return;
    root.current?.querySelector<HTMLButtonElement>("[role=menuitem]")?.focus();
    const outside = ({ target }: Event) => {
      if (!root.current?.contains(target as Node)) setOpen(false);
    };
    for (const type of ["pointerdown", "focusin"]) document.addEventListener(type, outside);
    return () => {
      for (const type of ["pointerdown", "focusin"]) document.removeEventListener(type, outside);
    };
  }, [isOpen]);

  const possible = actions.filter((action) => action !== false && action !== null);
  if (possible.length === 0) return <span className="menu" />;

  const close = () => {
    setOpen(false);
    root.current?.querySelector<HTMLButtonElement>("button")?.focus();
  };
  const onKeyDown = (event: React.KeyboardEvent) => {
    if (event.key === "Escape") close();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !isOpen) return;
    event.preventDefault();
    const items = [...root.current!.querySelectorAll<HTMLButtonElement>("[role=menuitem]")];
    items.at((items.indexOf(document.activeElement as HTMLButtonElement) + step) % items.length)?.focus();
  };
  return (
    <div className="menu" ref={root} onKeyDown={onKeyDown}>
      <button
        type="button"
        className="quiet icon"
        aria-label={`Actions for ${of}`}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen(!isOpen)}
      >
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
          <circle cx="3" cy="8" r="1.4" />
          <circle cx="8" cy="8" r="1.4" />
          <circle cx="13" cy="8" r="1.4" />
        </svg>
      </button>
      {isOpen && (
        <div role="menu" id={id}>
          {possible.map(({ label, isDanger, run }) => (
            <button
              key={label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              className={isDanger ? "danger" : undefined}
              onClick={() => {
                close();
                run();
              }}
            >
              {label}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
