import { type InputHTMLAttributes, type ReactNode, useId } from "react";

interface Props extends InputHTMLAttributes<HTMLInputElement> {
  label: string;
  unit?: string;
  options?: readonly string[];
  error?: string | undefined;
  isWide?: boolean;
}

/** A field with its name above it; `options` are suggested, and others may be typed. */
export function TextField({ label, unit, options, error, isWide, ...input }: Props) {
  const id = useId();
  return (
    <div className={`stacked${isWide ? " twice" : ""}`}>
      <label htmlFor={id}>{label}</label>
      <span className="inp wide">
        <input
          {...input}
          id={id}
          list={options ? `${id}-list` : undefined}
          aria-invalid={error ? true : undefined}
          aria-describedby={error ? `${id}-error` : undefined}
        />
        {unit && <span>{unit}</span>}
      </span>
      {options && (
        <datalist id={`${id}-list`}>
          {options.map((option) => (
            <option key={option} value={option} />
          ))}
        </datalist>
      )}
      {error && (
        <p className="bad-t sub" id={`${id}-error`}>
          {error}
        </p>
      )}
    </div>
  );
}

export function SelectField({
  label,
  value,
  onChange,
  children,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  children: ReactNode;
}) {
  const id = useId();
  return (
    <div className="stacked">
      <label htmlFor={id}>{label}</label>
      <select id={id} className="inp wide" value={value} onChange={(event) => onChange(event.target.value)}>
        {children}
      </select>
    </div>
  );
}
