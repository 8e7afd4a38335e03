import { createContext, useCallback, useContext, useState, type ReactNode } from "react";

type Tone = "plain" | "bad";
type Show = (title: string, body?: string, tone?: Tone) => void;

interface Toast {
  readonly id: number;
  readonly title: string;
  readonly body: string;
  readonly tone: Tone;
}

const SHOWN_MS = 6000;
const AT_MOST = 4;
let next = 0;

const ToastContext = createContext<Show>(() => {});
export const useToast = (): Show => useContext(ToastContext);

export function Toasts({ children }: { readonly children: ReactNode }) {
  const [toasts, setToasts] = useState<readonly Toast[]>([]);
  const show = useCallback<Show>((title, body = "", tone = "plain") => {
    const toast = { id: next++, title, body, tone };
    setToasts((shown) => [...shown.slice(1 - AT_MOST), toast]);
    setTimeout(() => setToasts((shown) => shown.filter(({ id }) => id !== toast.id)), SHOWN_MS);
  }, []);
  return (
    <ToastContext value={show}>
      {children}
      <div className="toasts" role="status" aria-live="polite">
        {toasts.map(({ id, title, body, tone }) => (
          <div key={id} className="toast" data-tone={tone}>
            <b>{title}</b>
            {body && <span>{body}</span>}
          </div>
        ))}
      </div>
    </ToastContext>
  );
}
