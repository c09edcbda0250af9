/** Small parts that several cards of the settings have in common. */
import { useQuery } from "@tanstack/react-query";
import { Check, X } from "lucide-react";
import type { ReactNode } from "react";
import { instancesQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { Icon } from "../../ui/icon.tsx";

interface Words {
  title: string;
  words: readonly string[];
}

/** What ends and what remains, before anything is done. */
export function TwoLists({ gone, kept }: { gone: Words; kept: Words }) {
  return (
    <div className="two-lists">
      {[
        { ...gone, icon: X, tone: "bad-t" },
        { ...kept, icon: Check, tone: "run-t" },
      ].map(({ title, words, icon, tone }) => (
        <div key={title}>
          <h3>{title}</h3>
          <ul>
            {words.map((word) => (
              <li key={word}>
                <Icon of={icon} className={tone} />
                {word}
              </li>
            ))}
          </ul>
        </div>
      ))}
    </div>
  );
}

export function LineBones() {
  const { t } = useReader();
  return (
    <div className="lines" role="status" aria-label={t.common.loading}>
      {[0, 1].map((i) => (
        <div key={i} className="line-bone">
          <i className="bone" />
          <i className="bone" />
        </div>
      ))}
    </div>
  );
}

interface TextFieldProps {
  id: string;
  label: string;
  hint: ReactNode;
  value: string;
  /** Shown in place of the hint's meaning: what is wrong with it. */
  wrong: string | null;
  placeholder?: string;
  inputMode?: "numeric" | "decimal";
  list?: string;
  /** Not shown while it is typed. */
  isSecret?: boolean;
  onChange: (value: string) => void;
}

export function TextField({
  id,
  label,
  hint,
  value,
  wrong,
  placeholder,
  inputMode,
  list,
  isSecret,
  onChange,
}: TextFieldProps) {
  return (
    <div className="text-field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        className="field"
        type={isSecret ? "password" : undefined}
        value={value}
        placeholder={placeholder}
        inputMode={inputMode}
        list={list}
        autoComplete="off"
        aria-invalid={wrong !== null || undefined}
        aria-describedby={`${id}-hint`}
        onChange={(event) => onChange(event.target.value)}
      />
      <p id={`${id}-hint`} className={wrong === null ? "sub" : "wrong"}>
        {wrong ?? hint}
      </p>
    </div>
  );
}

interface BoxesProps {
  title: string;
  all: [string, string][];
  chosen: string[];
  onChange: (chosen: string[]) => void;
}

/** Which instances something is for. */
export function InstanceBoxes(props: Pick<BoxesProps, "chosen" | "onChange">) {
  const { t } = useReader();
  const { data } = useQuery(instancesQuery);
  if (!data?.length) return null;
  return <Boxes title={t.settings.channels.instances} all={data.map((row) => [row.id, row.name])} {...props} />;
}

/** Some of several: none, all of them, or those that are ticked. */
export function Boxes({ title, all, chosen, onChange }: BoxesProps) {
  const toggle = (id: string) => onChange(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  return (
    <fieldset className="others">
      <legend>{title}</legend>
      {all.map(([id, word]) => (
        <label key={id}>
          <input type="checkbox" className="ck" checked={chosen.includes(id)} onChange={() => toggle(id)} />
          {word}
        </label>
      ))}
    </fieldset>
  );
}
