import { useState } from "react";
import { useDemoState } from "./demo/api.js";
import { useJudge } from "./demo/useTally.js";
import { Controls } from "./Controls.js";
import { Counter } from "./Counter.js";
import { Hint } from "./Hint.js";
import { tabs, Tabs, type Tab } from "./Tabs.js";
import { Side } from "./side/Side.js";
import { ThemeToggle } from "./ui/theme.js";

export function App() {
  const [tab, setTab] = useState<Tab>(tabs[0]);
  const { state } = useDemoState();
  useJudge();
  return (
    <>
      <header className="top">
        <img src="./favicon.svg" alt="" width="26" height="26" />
        <b>Orbit Realtime</b>
        <nav aria-label="More">
          {state && <a href={state.admin}>Operators’ console</a>}
          <a href="https://github.com/orbit/realtime/tree/main/docs">Docs</a>
        </nav>
        <ThemeToggle />
      </header>
      <section className="hero" aria-label="What this is">
        <h1>Every open tab shows what the database says. Try to make one miss something.</h1>
        <p>
          Two people, two tabs, one workspace. Each command below is a real transaction; each button breaks something for real.
        </p>
      </section>
      <Counter />
      <main>
        <Controls />
        <div className="compare">
          <Tabs tab={tab} onChange={setTab} />
          <Hint />
        </div>
        <div className="sides" role="tabpanel" id="panel" aria-label={tab}>
          <Side side="left" tab={tab} />
          <Side side="right" tab={tab} />
        </div>
      </main>
    </>
  );
}
