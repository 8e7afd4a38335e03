import { useState } from "react";
import { useDemoButton, useDemoState } from "./demo/api.js";

const ways = ["error", "panic", "hang"] as const;
const first = "workspaces.member.role_changed";

/** Breaks the projector of one type of events, and mends it. */
export function Break() {
  const press = useDemoButton();
  const { state, isDown } = useDemoState();
  const [type, setType] = useState(first);
  const [how, setHow] = useState<string>(ways[0]);
  const broken = Object.keys(state?.broken ?? {});
  const isBroken = broken.length > 0;
  return (
    <div className="control break" data-pressed={isBroken}>
      <button
        type="button"
        aria-pressed={isBroken}
        disabled={isDown}
        onClick={() => (isBroken ? press("/demo/mend", {}) : press("/demo/break", { type, how }))}
      >
        <b>{isBroken ? "Mend the projector" : "Break a projector"}</b>
        <small>
          {isBroken
            ? "Such changes are held now. Mend it, then requeue them in the operators’ console."
            : "Such changes are saved, but wait, marked as out of date. All others flow."}
        </small>
      </button>
      <div className="choices">
        <select aria-label="Of which events" value={broken[0] ?? type} disabled={isBroken || isDown} onChange={(event) => setType(event.target.value)}>
          {(state?.types ?? [first]).map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
        <select aria-label="How it breaks" value={how} disabled={isBroken || isDown} onChange={(event) => setHow(event.target.value)}>
          {ways.map((way) => (
            <option key={way}>{way}</option>
          ))}
        </select>
      </div>
    </div>
  );
}
