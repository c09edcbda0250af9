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

export function PolicyField(props: Props) {
  const { name, value, isWrong, isRefused, onChange } = props;
  const { t, f } = useReader();
  const words = t.settings.policy;
  const id = useId();
  const kind = kindOf(name);
  const { label, hint } = words.fields[name];
  const [least, most] = limitsOf(name).map((limit) => f.number(limit, Number.isInteger(limit) ? 0 : 2)) as [
    string,
    string,
  ];
  const wrong = isWrong ? (kind === "whole" ? words.whole : words.range)(least, most) : isRefused ? words.wrong : null;
  const named = {
    id,
    "aria-invalid": wrong !== null || undefined,
    "aria-describedby": wrong === null ? `${id}-hint` : `${id}-hint ${id}-wrong`,
  };
  return (
    <div className="fld">
      <label htmlFor={id}>{label}</label>
      <p id={`${id}-hint`}>{hint}</p>
      {kind === "switch" || kind === "choice" ? (
        <Choice {...props} named={named} />
      ) : (
        <Amount {...props} named={named} />
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

interface ControlProps extends Props {
  named: { id: string; "aria-invalid": true | undefined; "aria-describedby": string };
}

function Choice({ name, value, fallback, named, onChange }: ControlProps) {
  const words = useReader().t.settings.policy;
  const { valueWords } = usePolicyWords();
  const options: [value: string, word: string][] =
    kindOf(name) === "switch"
      ? [
          ["on", words.on],
          ["off", words.off],
        ]
      : choices[name as keyof typeof choices].map((choice) => [choice, words.choices[choice]]);
  return (
    <select
      {...named}
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
  );
}

function Amount({ name, value, fallback, named, onChange }: ControlProps) {
  const { t, f } = useReader();
  const isAuto = value === "auto";
  const grey = isAuto || fallback === "auto" ? "–" : f.number(Number(fallback), Number.isInteger(fallback) ? 0 : 1);
  return (
    <span className="inp">
      <input
        {...named}
        inputMode="decimal"
        autoComplete="off"
        value={isAuto ? "" : value}
        disabled={isAuto}
        placeholder={grey}
        onChange={(event) => onChange(event.target.value)}
      />
      <span>{t.settings.policy.unit[unitOf(name)]}</span>
    </span>
  );
}
