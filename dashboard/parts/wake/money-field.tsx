/** A price that a person types, with a point or a comma. What is no amount is not sent: it would count as no limit. */
import { useEffect, useId, useRef, useState } from "react";
import { useReader } from "../../i18n/context.tsx";

const currency = /^(US\s?\$|\$|USD)\s*|\s*(US\s?\$|\$|USD)$/gi;

/** In micro-dollars. Null: nothing that is an amount above zero. */
export function readDollars(text: string): number | null {
  const clean = text.trim().replace(currency, "").replace(",", ".");
  if (!/^\d+(\.\d+)?$/.test(clean)) return null;
  return Math.round(Number(clean) * 1_000_000) || null;
}

interface Props {
  label: string;
  hint?: string;
  value: number | null;
  /** Null where it is left empty. What cannot be read is not told, and holds the form back. */
  onChange: (microUsd: number | null) => void;
}

export function MoneyField({ label, hint, value, onChange }: Props) {
  const { t, f } = useReader();
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(value === null ? "" : f.number(value / 1_000_000, 2));
  const isWrong = text.trim() !== "" && readDollars(text) === null;
  const wrong = isWrong ? t.wake.capWrong : "";
  useEffect(() => field.current!.setCustomValidity(wrong), [wrong]);
  return (
    <div className="fld">
      <label htmlFor={id}>{label}</label>
      {(hint || isWrong) && (
        <p id={`${id}-hint`} className={isWrong ? "wrong" : undefined}>
          {wrong || hint}
        </p>
      )}
      <span className="inp">
        <span>US$</span>
        <input
          ref={field}
          id={id}
          inputMode="decimal"
          value={text}
          placeholder={t.wake.noCap}
          aria-invalid={isWrong || undefined}
          aria-describedby={hint || isWrong ? `${id}-hint` : undefined}
          onChange={(event) => {
            const typed = event.target.value;
            setText(typed);
            const amount = readDollars(typed);
            if (amount !== null || typed.trim() === "") onChange(amount);
          }}
        />
        <span>{t.wake.perHour}</span>
      </span>
    </div>
  );
}
