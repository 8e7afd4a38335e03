import type { KeyboardEvent } from "react";

export const tabs = ["Members", "Rooms", "Roles", "Teams", "Plan"] as const;
export type Tab = (typeof tabs)[number];

/** What both sides show: the same, so that they can be compared. */
export function Tabs({ tab, onChange }: { readonly tab: Tab; readonly onChange: (tab: Tab) => void }) {
  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (tabs.indexOf(tab) + step + tabs.length) % tabs.length;
    onChange(tabs[next]!);
    (event.currentTarget.children[next] as HTMLElement).focus();
  };
  return (
    <div className="tabs" role="tablist" aria-label="What both sides show" onKeyDown={onKeyDown}>
      {tabs.map((name) => (
        <button
          key={name}
          type="button"
          role="tab"
          aria-selected={name === tab}
          aria-controls="panel"
          tabIndex={name === tab ? 0 : -1}
          onClick={() => onChange(name)}
        >
          {name}
        </button>
      ))}
    </div>
  );
}
