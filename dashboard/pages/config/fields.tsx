/** The fields of the form: a label, what it means, whose word its value is, and what is wrong with it. */
import { type CSSProperties, type ReactNode, useId, useState } from "react";
import { limitsOf } from "../../api/contract.ts";
import { useSession } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { type SettingName, valueAt } from "./form.ts";
import { boldParts } from "./sentence.ts";
import { readNumber, scaled, writeNumber } from "./units.ts";
import { useForm } from "./use-form.ts";

export function vars(values: CSSProperties & Record<`--${string}`, string>): CSSProperties {
  return values;
}

/** Words with `**bold**` in them. */
export function Rich({ words }: { words: string }) {
  // biome-ignore lint/suspicious/noArrayIndexKey: parts of one sentence, in its order
  return boldParts(words).map(([text, isBold], i) => (isBold ? <b key={i}>{text}</b> : text));
}

/** Beside the form: what it means. It scrolls by itself, so the keyboard must reach it. */
export function Side({ className, children }: { className?: string; children: ReactNode }) {
  const { t } = useReader();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls
    <div className={`side${className ? ` ${className}` : ""}`} role="group" aria-label={t.config.side} tabIndex={0}>
      {children}
    </div>
  );
}

/** Fields that the API takes from an owner alone. */
export function OwnersFields({ children }: { children: ReactNode }) {
  const { t } = useReader();
  const isOwner = useSession().data?.team?.role === "owner";
  return (
    <fieldset className="owners" disabled={!isOwner}>
      {!isOwner && <p className="note">{t.config.owners}</p>}
      {children}
    </fieldset>
  );
}

export interface Control {
  id: string;
  "aria-describedby": string;
  "aria-invalid": true | undefined;
}

interface FieldProps {
  names: readonly SettingName[];
  label: string;
  hint?: ReactNode;
  /** The control takes the whole width, below. */
  isWide?: boolean;
  /** Several controls, each with a name of its own: the label names the group. */
  isGroup?: boolean;
  /** How a number is shown, where that is not how it is kept. */
  per?: number;
  children: (control: Control) => ReactNode;
}

export function Field({ names, label, hint, isWide, isGroup, per, children }: FieldProps) {
  const id = useId();
  const form = useForm();
  const problem = useProblem(names, per);
  const control: Control = {
    id,
    "aria-describedby": `${id}-hint`,
    "aria-invalid": problem !== null || undefined,
  };
  const group = isGroup
    ? { role: "group", "aria-labelledby": `${id}-label`, "aria-describedby": `${id}-hint` }
    : undefined;
  const isChanged = names.some((name) => form.edits[name]);
  return (
    <div className={`fld${isWide ? " below" : ""}${isChanged ? " changed" : ""}`} {...group}>
      {isGroup ? (
        <span className="lb" id={`${id}-label`}>
          {label}
        </span>
      ) : (
        <label htmlFor={id}>{label}</label>
      )}
      <p id={`${id}-hint`}>
        {hint}
        {hint && " "}
        <Source names={names} label={label} />
        {problem && (
          <span className="problem" role="alert">
            {problem}
          </span>
        )}
      </p>
      {isWide ? <div className="full">{children(control)}</div> : children(control)}
    </div>
  );
}

/** Whose word it is, and the way back. */
function Source({ names, label }: { names: readonly SettingName[]; label: string }) {
  const { t } = useReader();
  const form = useForm();
  const words = t.config.source;
  const edits = names.flatMap((name) => form.edits[name] ?? []);
  const act = (word: string, name: string, run: () => void) => (
    <button type="button" className="plain link" aria-label={name} onClick={run}>
      {word}
    </button>
  );
  if (edits.length > 0) {
    const isUnset = edits.every((edit) => edit.is === "unset");
    return (
      <span className="source">
        {isUnset ? words.again : words.changed} {act(words.undo, words.undoName(label), () => form.undo(names))}
      </span>
    );
  }
  const source = form.sourceOf(names);
  if (source === "instance")
    return <span className="source">{act(words.reset, words.resetName(label), () => form.unset(names))}</span>;
  const word = { default: words.product, user: words.user, gpu_type: words.gpuType(form.gpuType ?? "") }[source];
  return <span className="source">{word}</span>;
}

function useProblem(names: readonly SettingName[], per = 1): string | null {
  const { t, f } = useReader();
  const form = useForm();
  for (const name of names) {
    const edit = form.edits[name];
    if (edit?.is === "bad") {
      const [least, most] = limitsOf(name).map((limit) => limit / per) as [number, number];
      const digits = (value: number) => (Number.isInteger(value) ? 0 : 2);
      if (edit.problem !== "range") return t.config.problem[edit.problem];
      return most >= Number.MAX_SAFE_INTEGER / per
        ? t.config.problem.rangeFrom(f.number(least, digits(least)))
        : t.config.problem.range(f.number(least, digits(least)), f.number(most, digits(most)));
    }
    const issue = form.issues[name];
    if (issue !== undefined) return t.config.problem.refused(issue);
  }
  return null;
}

interface NumberProps {
  name: SettingName;
  unit: string;
  /** The number shown times this is what is kept. */
  per?: number;
  isWhole?: boolean;
  /** Nothing in it says null. */
  mayBeEmpty?: boolean;
  isDisabled?: boolean;
  label?: string;
  control?: Control;
}

export function NumberInput({ name, unit, per = 1, isWhole, mayBeEmpty, isDisabled, label, control }: NumberProps) {
  const { language } = useReader();
  const form = useForm();
  const [typed, setTyped] = useState<string | null>(null);
  const edit = form.edits[name];
  const value = valueAt(form.draft, name);
  const kept = typeof value === "number" ? writeNumber(value / per, language) : "";
  const type = (text: string) => {
    setTyped(text);
    if (mayBeEmpty && text.trim() === "") return form.set(name, null);
    const number = readNumber(text, language);
    if (number === null) return form.setBad(name, text, "number");
    const next = scaled(number, per);
    const [least, most] = limitsOf(name);
    if (next < least || next > most) return form.setBad(name, text, "range");
    if (isWhole && !Number.isInteger(next)) return form.setBad(name, text, "whole");
    form.set(name, next);
  };
  return (
    <span className="inp">
      <input
        {...control}
        aria-label={label}
        inputMode="decimal"
        autoComplete="off"
        disabled={isDisabled}
        value={typed ?? (edit?.is === "bad" ? String(edit.raw) : kept)}
        onChange={(event) => type(event.target.value)}
        onBlur={() => setTyped(null)}
      />
      <span>{unit}</span>
    </span>
  );
}

export function NumberField({ name, label, hint, ...rest }: NumberProps & { label: string; hint?: ReactNode }) {
  return (
    <Field names={[name]} label={label} hint={hint} per={rest.per}>
      {(control) => <NumberInput name={name} control={control} {...rest} />}
    </Field>
  );
}

export function SwitchField({ name, label, hint }: { name: SettingName; label: string; hint?: ReactNode }) {
  const form = useForm();
  return (
    <Field names={[name]} label={label} hint={hint}>
      {(control) => (
        <Toggle control={control} isOn={valueAt(form.draft, name) === true} onChange={(isOn) => form.set(name, isOn)} />
      )}
    </Field>
  );
}

export function Toggle(props: { control: Partial<Control>; isOn: boolean; onChange: (isOn: boolean) => void }) {
  return (
    <span className="sw-box">
      <input
        {...props.control}
        className="sw"
        type="checkbox"
        role="switch"
        aria-checked={props.isOn}
        checked={props.isOn}
        onChange={(event) => props.onChange(event.target.checked)}
      />
    </span>
  );
}

interface Choice {
  value: string;
  label: string;
  hint?: string;
}

/** One of a few, each with what it means. */
export function Choices({
  name,
  choices,
  value,
  onChange,
}: {
  name: string;
  choices: readonly Choice[];
  value: string;
  onChange: (value: string) => void;
}) {
  const id = useId();
  return (
    <div className="choices">
      {choices.map((choice) => (
        <label key={choice.value}>
          <input
            type="radio"
            className="radio"
            name={`${id}-${name}`}
            checked={choice.value === value}
            aria-describedby={choice.hint ? `${id}-${choice.value}` : undefined}
            onChange={() => onChange(choice.value)}
          />
          <span>
            {choice.label}
            {choice.hint && <small id={`${id}-${choice.value}`}>{choice.hint}</small>}
          </span>
        </label>
      ))}
    </div>
  );
}

interface TextProps<T> {
  name: SettingName;
  label: string;
  hint?: ReactNode;
  rows?: number;
  /** Null: it does not fit. */
  read: (text: string) => T | null;
  write: (value: T) => string;
  problem: "ports" | "paths";
}

/** A list, as people write one. */
export function TextField<T>({ name, label, hint, rows, read, write, problem }: TextProps<T>) {
  const form = useForm();
  const [typed, setTyped] = useState<string | null>(null);
  const edit = form.edits[name];
  const text = typed ?? (edit?.is === "bad" ? String(edit.raw) : write(valueAt(form.draft, name) as T));
  const type = (next: string) => {
    setTyped(next);
    const value = read(next);
    if (value === null) form.setBad(name, next, problem);
    else form.set(name, value);
  };
  const common = {
    className: "field mono",
    spellCheck: false,
    value: text,
    onBlur: () => setTyped(null),
    onChange: (event: { target: { value: string } }) => type(event.target.value),
  };
  return (
    <Field names={[name]} label={label} hint={hint} isWide>
      {(control) => (rows ? <textarea {...control} {...common} rows={rows} /> : <input {...control} {...common} />)}
    </Field>
  );
}
