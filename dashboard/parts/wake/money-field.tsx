/** A price that a person types, with a point or a comma. */
import { useId, useState } from "react";
import { useReader } from "../../i18n/context.tsx";

/** Null: nothing that is an amount. */
export function readDollars(text: string): number | null {
  const clean = text.trim().replace(",", ".");
  if (!/^\d+(\.\d+)?$/.test(clean)) return null;
  return Math.round(Number(clean) * 1_000_000);
}

export function MoneyField({
  label,
  hint,
  value,
  onChange,
}: {
  label: string;
  hint?: string;
  value: number | null;
  onChange: (microUsd: number | null) => void;
}) {
  const { t, f } = useReader();
  const id = useId();
  const [text, setText] = useState(value === null ? "" : f.number(value / 1_000_000, 2));
  const isWrong = text.trim() !== "" && readDollars(text) === null;
  return (
    <div className="fld">
      <label htmlFor={id}>{label}</label>
      {hint && <p id={`${id}-hint`}>{hint}</p>}
      <span className="inp">
        <span>US$</span>
        <input
          id={id}
          inputMode="decimal"
          value={text}
          placeholder={t.wake.noCap}
          aria-invalid={isWrong || undefined}
          aria-describedby={hint ? `${id}-hint` : undefined}
          onChange={(event) => {
            setText(event.target.value);
            onChange(event.target.value.trim() === "" ? null : readDollars(event.target.value));
          }}
        />
        <span>{t.wake.perHour}</span>
      </span>
    </div>
  );
}
