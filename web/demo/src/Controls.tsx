import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { useDemoButton, useDemoState } from "./demo/api.js";
import { flood } from "./demo/flood.js";
import { useTally } from "./demo/useTally.js";
import { Break } from "./Break.js";
import { useToast } from "./ui/toasts.js";

const FLOOD = 1000;

/** What is done to the server, and so to both sides. */
export function Controls() {
  const press = useDemoButton();
  const { isDown } = useDemoState();
  return (
    <section className="controls" aria-label="Make it hard for the server">
      <Flood />
      <button type="button" className="control" disabled={isDown} onClick={() => press("/demo/restart", { how: "orderly" })}>
        <b>Restart the server</b>
        <small>Both sides are sent away in order, and come back where they were.</small>
      </button>
      <button type="button" className="control" disabled={isDown} onClick={() => press("/demo/restart", { how: "crash" })}>
        <b>Crash the server</b>
        <small>No goodbye, nothing finished. What was committed still arrives.</small>
      </button>
      <Break />
    </section>
  );
}

function Flood() {
  const tally = useTally();
  const toast = useToast();
  const [committed, setCommitted] = useState(0);
  const { mutate, isPending } = useMutation({
    mutationFn: () => {
      let done = 0;
      setCommitted(0);
      return flood(FLOOD, (cause) => {
        tally.sent(cause);
        if (++done % 25 === 0) setCommitted(done);
      });
    },
    onError: (error) => toast("The flood broke off", error.message, "bad"),
  });
  return (
    <button type="button" className="control primary" aria-busy={isPending} disabled={isPending} onClick={() => mutate()}>
      <b>{isPending ? `Flooding: ${committed} of ${FLOOD.toLocaleString("en")}` : `Flood ${FLOOD.toLocaleString("en")} changes`}</b>
      <small>Watch both counters reach the number sent, with none lost or twice.</small>
    </button>
  );
}
