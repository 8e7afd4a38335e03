import { useEffect, useState } from "react";
import { useDemoState } from "./demo/api.js";
import { useTotals } from "./demo/useTally.js";
import { sides, type Totals } from "./tally.js";

const number = new Intl.NumberFormat("en");

/** What was sent and what came: always in sight, so that nothing can go missing unseen. */
export function Counter() {
  const { state, isDown } = useDemoState();
  const totals = useTotals();
  const sum = (of: "lost" | "twice") => sides.reduce((total, side) => total + totals[side][of], 0);
  const isClean = sum("lost") + sum("twice") === 0;
  return (
    <section className="counter" aria-label="Sent and received" data-clean={isClean}>
      <dl>
        <Figure label="Sent" value={totals.sent} title="Committed changes this page knows of" />
        {sides.map((side) => (
          <Figure
            key={side}
            label={`Received ${side}`}
            value={totals[side].received}
            note={totals[side].due < totals.sent ? `of ${number.format(totals[side].due)}` : ""}
            title={`Changes that reached the ${side} side, of those it may see since it is signed in`}
          />
        ))}
        <Figure label="In flight" value={totals.inFlight} title="Committed, and still on their way to one side or both" />
        {totals.held > 0 && <Figure label="Held" value={totals.held} tone="warn" title="Saved, but their projector is broken: they wait for an operator" />}
        <Figure label="Lost" value={sum("lost")} tone={sum("lost") ? "bad" : "good"} title="Should have come, and didn't" />
        <Figure label="Twice" value={sum("twice")} tone={sum("twice") ? "bad" : "good"} title="Came again after it had come" />
      </dl>
      <p className="server" data-down={isDown} role="status">
        {isDown ? "Server away" : `Server up${state && state.starts > 1 ? `, start ${state.starts}` : ""}`}
      </p>
      <Spoken totals={totals} />
    </section>
  );
}

interface FigureProps {
  readonly label: string;
  readonly value: number;
  readonly title: string;
  readonly note?: string;
  readonly tone?: "good" | "bad" | "warn";
}

function Figure({ label, value, title, note, tone }: FigureProps) {
  return (
    <div className="figure" data-tone={tone} title={title}>
      <dt>{label}</dt>
      <dd>
        {number.format(value)}
        {note && <small>{note}</small>}
      </dd>
    </div>
  );
}

/** How long the numbers must stand still before they are read out, in milliseconds. */
const STILL_MS = 1500;

/** The numbers for who can't see them: said when they stand still, for no one could follow a flood. */
function Spoken({ totals }: { readonly totals: Totals }) {
  const [said, say] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => {
      const { sent, left, right } = totals;
      say(
        `${sent} sent, ${left.received} received left, ${right.received} received right, ` +
          `${left.lost + right.lost} lost, ${left.twice + right.twice} twice`,
      );
    }, STILL_MS);
    return () => clearTimeout(timer);
  }, [totals]);
  return (
    <p className="sr" role="status">
      {said}
    </p>
  );
}
