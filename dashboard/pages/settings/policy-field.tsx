/** One setting of a policy; empty, it shows in grey what counts then. */
import { useId } from "react";
import { limitsOf } from "../../api/contract.ts";
import { useReader } from "../../i18n/context.tsx";
import { choices, type FieldName, kindOf, unitOf } from "./policy-fields.ts";
import { usePolicyWords } from "./policy-words.ts";

interface Props {
  name: FieldName;
  value: string;
  fallback: unknown;
  isWrong: boolean;
  isRefused: boolean;
  onChange: (value: string) => void;
}

export function PolicyField({ name, value, fallback, isWrong, isRefused, onChange }: Props) {
  const { t, f } = useReader();
  const words = t.settings.policy;
  const { valueWords } = usePolicyWords();
  const id = useId();
  const kind = kindOf(name);
  const { label, hint } = words.fields[name];
  const [least, most] = limitsOf(name).map((limit) => f.number(limit, Number.isInteger(limit) ? 0 : 2)) as [
    string,
    string,
  ];
  const wrong = isWrong ? (kind === "whole" ? words.whole : words.range)(least, most) : isRefused ? words.wrong : null;
  const common = {
    id,
    "aria-invalid": wrong !== null || undefined,
    "aria-describedby": wrong === null ? `${id}-hint` : `${id}-hint ${id}-wrong`,
  };
  const options =
    kind === "switch"
      ? [["on", words.on] as const, ["off", words.off] as const]
      : kind === "choice"
        ? choices[name as keyof typeof choices].map((choice) => [choice, words.choices[choice]] as const)
        : null;
  return (
    <div className="fld">
      <label htmlFor={id}>{label}</label>
      <p id={`${id}-hint`}>{hint}</p>
      {options ? (
        <select
          {...common}
          className={`field${value === "" ? " unset" : ""}`}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        >
          <option value="">{words.standard(valueWords(name, fallback))}</option>
          {options.map(([option, word]) => (
            <option key={option} value={option}>
              {word}
            </option>
          ))}
        </select>
      ) : (
        <span className="inp">
          <input
            {...common}
            inputMode="decimal"
            autoComplete="off"
            value={value === "auto" ? "" : value}
            disabled={value === "auto"}
            placeholder={
              fallback === "auto" || value === "auto"
                ? "–"
                : f.number(Number(fallback), Number.isInteger(fallback) ? 0 : 1)
            }
            onChange={(event) => onChange(event.target.value)}
          />
          <span>{words.unit[unitOf(name)]}</span>
        </span>
      )}
      {name === "pause_after_idle_minutes" && (
        <label className="full auto-box">
          <input
            type="checkbox"
            className="ck"
            checked={value === "auto"}
            onChange={(event) => onChange(event.target.checked ? "auto" : "")}
          />
          {words.autoBox}
        </label>
      )}
      {wrong && (
        <p id={`${id}-wrong`} className="full wrong" role="alert">
          {wrong}
        </p>
      )}
    </div>
  );
}
