import { useDemoButton, useDemoState, type Faults as State } from "../demo/api.js";
import { useSide } from "./context.js";
import type { Network } from "./network.js";

interface Fault {
  readonly label: string;
  readonly watch: string;
  readonly isOn: (faults: State) => boolean;
  readonly on: Partial<State>;
  readonly off: Partial<State>;
}

const all: readonly Fault[] = [
  {
    label: "Pull the plug",
    watch: "Offline. Plug it in again: what was missed is replayed.",
    isOn: ({ plug }) => plug === "pulled",
    on: { plug: "pulled" },
    off: { plug: "in" },
  },
  {
    label: "Block WebSocket",
    watch: "Refused, as some proxies do: it goes on by SSE.",
    isOn: ({ websocket }) => websocket === "blocked",
    on: { websocket: "blocked" },
    off: { websocket: "open", sse: "open" },
  },
  {
    label: "Hang WebSocket",
    watch: "Never answered: given up after 2 s, then SSE.",
    isOn: ({ websocket }) => websocket === "hangs",
    on: { websocket: "hangs" },
    off: { websocket: "open", sse: "open" },
  },
  {
    label: "Buffer SSE",
    watch: "WebSocket is blocked as well: in a few seconds, long poll.",
    isOn: ({ sse }) => sse === "buffered",
    on: { sse: "buffered", websocket: "blocked" },
    off: { sse: "open", websocket: "open" },
  },
  {
    label: "Slow network",
    watch: "300 ms later, and still in order.",
    isOn: ({ latencyMs }) => latencyMs > 0,
    on: { latencyMs: 300 },
    off: { latencyMs: 0 },
  },
];

/** What can be wrong with this side's network. */
export function Faults({ network }: { readonly network: Network }) {
  const side = useSide();
  const press = useDemoButton();
  const { state, isDown } = useDemoState();
  const faults = state?.sides[side];
  return (
    <div className="faults" role="group" aria-label={`The ${side} person's network`}>
      <h3 className="narrow">Network, {side}</h3>
      {all.map(({ label, watch, isOn, on, off }) => {
        const pressed = faults !== undefined && isOn(faults);
        const toggle = () => {
          if (!pressed && on.plug) network.changed(false); // the browser knows at once
          press("/demo/faults", { side, ...(pressed ? off : on) });
        };
        return (
          <button key={label} type="button" className="control" aria-pressed={pressed} disabled={!faults || isDown} onClick={toggle}>
            <b>{label}</b>
            <small>{watch}</small>
          </button>
        );
      })}
    </div>
  );
}
