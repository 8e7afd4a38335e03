import { useState } from "react";

const KEY = "orbit:demo:hint";

const wasSeen = (): boolean => {
  try {
    return localStorage.getItem(KEY) === "seen";
  } catch {
    return false;
  }
};

/** What to do first, for who is here for the first time. */
export function Hint() {
  const [isShown, setShown] = useState(() => !wasSeen());
  if (!isShown) return null;
  const dismiss = () => {
    setShown(false);
    try {
      localStorage.setItem(KEY, "seen");
    } catch {
      // It is shown again next time.
    }
  };
  return (
    <p className="hint-bubble">
      <span>
        <b>Start here:</b> change a role on the left and watch the right.
      </span>
      <button type="button" className="quiet" onClick={dismiss}>
        Got it
      </button>
    </p>
  );
}
