import { createContext, useCallback, useContext, useId, useLayoutEffect, useRef, useState, type FormEvent, type ReactNode } from "react";

interface Common {
  readonly name: string;
  readonly label: string;
}

/** One question. `checks` answers with the values that were ticked. */
export type Field = Common &
  (
    | { readonly type?: "text" | "email" | "number"; readonly value?: string | number; readonly maxLength?: number }
    | { readonly type: "checkbox" }
    | { readonly type: "checks"; readonly value: readonly string[]; readonly options: readonly (readonly [string, string])[] }
  );

/** The answers by name: what `type` says, text if nothing. */
export type Answers = Record<string, string | number | boolean | string[]>;

interface Question {
  readonly title: string;
  readonly fields: readonly Field[];
  readonly ok: string;
  readonly isDanger: boolean;
}

type Ask = (title: string, fields: readonly Field[], ok?: string, isDanger?: boolean) => Promise<Answers | null>;

const AskContext = createContext<Ask>(async () => null);

/** Asks with a dialog. Resolves with the answers, or null when it was cancelled. */
export const useAsk = (): Ask => useContext(AskContext);

export function Asking({ children }: { readonly children: ReactNode }) {
  const [question, setQuestion] = useState<Question | null>(null);
  const answer = useRef<(answers: Answers | null) => void>(() => {});
  const ask = useCallback<Ask>((title, fields, ok = "Save", isDanger = false) => {
    setQuestion({ title, fields, ok, isDanger });
    return new Promise((resolve) => (answer.current = resolve));
  }, []);
  const close = (answers: Answers | null) => {
    setQuestion(null);
    answer.current(answers);
  };
  return (
    <AskContext value={ask}>
      {children}
      {question && <Dialog {...question} onClose={close} />}
    </AskContext>
  );
}

function Dialog({ title, fields, ok, isDanger, onClose }: Question & { readonly onClose: (answers: Answers | null) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  // Closed before it is taken out: the focus goes back to where it was.
  useLayoutEffect(() => {
    const { current } = dialog;
    current?.showModal();
    const input = current?.querySelector("input");
    input?.focus();
    if (input?.type === "text") input.select();
    return () => current?.close();
  }, []);
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    onClose(Object.fromEntries(fields.map((field) => [field.name, read(field, data)])));
  };
  return (
    <dialog ref={dialog} aria-labelledby={titleId} onCancel={(event) => (event.preventDefault(), onClose(null))}>
      <form onSubmit={submit}>
        <h2 id={titleId}>{title}</h2>
        {fields.map((field) => (
          <Input key={field.name} field={field} />
        ))}
        <div className="actions">
          <button type="button" onClick={() => onClose(null)}>
            Cancel
          </button>
          <button type="submit" className={isDanger ? "danger solid" : "primary"}>
            {ok}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function Input({ field }: { readonly field: Field }) {
  switch (field.type) {
    case "checkbox":
      return (
        <label className="check">
          <input type="checkbox" name={field.name} /> {field.label}
        </label>
      );
    case "checks":
      return (
        <fieldset>
          <legend>{field.label}</legend>
          {field.options.map(([value, label]) => (
            <label key={value} className="check">
              <input type="checkbox" name={field.name} value={value} defaultChecked={field.value.includes(value)} /> {label}
            </label>
          ))}
        </fieldset>
      );
    default:
      return (
        <label className="field">
          {field.label}
          <input
            type={field.type ?? "text"}
            name={field.name}
            defaultValue={field.value}
            maxLength={field.maxLength ?? 80}
            autoComplete="off"
            required
          />
        </label>
      );
  }
}

function read(field: Field, data: FormData): Answers[string] {
  switch (field.type) {
    case "checks":
      return data.getAll(field.name).map(String);
    case "checkbox":
      return data.has(field.name);
    case "number":
      return Number(data.get(field.name));
    default:
      return String(data.get(field.name));
  }
}
