/** What counts as work beside the GPUs, each with its threshold in the unit that people use. */
import { useId, useState } from "react";
import type { SignalName } from "../../../core/protocol/signals.ts";
import { useReader } from "../../i18n/context.tsx";
import { Field, NumberInput } from "./fields.tsx";
import type { SettingName } from "./form.ts";
import { rateUnitOf, rateUnits } from "./units.ts";
import { useForm } from "./use-form.ts";

const names: readonly SignalName[] = ["traffic", "terminal", "jupyter", "cpu", "network", "disk"];

export function Signals() {
  const { t } = useReader();
  const form = useForm();
  const words = t.config.signals;
  const settings = names.flatMap((name): SettingName[] => [`signals.${name}.enabled`, `signals.${name}.threshold`]);
  return (
    <Field names={settings} label={words.label} hint={words.hint} isWide isGroup>
      {() => (
        <ul className="signals">
          {names.map((name) => (
            <li key={name}>
              <label>
                <input
                  className="ck"
                  type="checkbox"
                  checked={form.draft.signals[name].enabled}
                  onChange={(event) => form.set(`signals.${name}.enabled`, event.target.checked)}
                />
                {t.common.signal[name]}
              </label>
              {form.draft.signals[name].enabled && <Threshold name={name} />}
            </li>
          ))}
          <li className="muted">{words.keepAwake}</li>
        </ul>
      )}
    </Field>
  );
}

function Threshold({ name }: { name: SignalName }) {
  const { t } = useReader();
  const form = useForm();
  const words = t.config.signals;
  const setting: SettingName = `signals.${name}.threshold`;
  const label = words.threshold(t.common.signal[name]);
  const wrong = form.edits[setting]?.is === "bad" || form.issues[setting] !== undefined || undefined;
  const control = { id: useId(), "aria-invalid": wrong } as never;
  if (name === "network" || name === "disk") return <Rate setting={setting} label={label} control={control} />;
  const per = name === "terminal" ? 60 : 1;
  return (
    <span className="at">
      <span className="muted">{words.front[name]}</span>
      <NumberInput name={setting} label={label} per={per} unit={words.unit[name]} control={control} />
    </span>
  );
}

/** The number stays when its unit changes, as it was typed. */
function Rate({ setting, label, control }: { setting: SettingName; label: string; control: never }) {
  const { t } = useReader();
  const form = useForm();
  const name = setting.includes("network") ? "network" : "disk";
  const value = form.draft.signals[name].threshold;
  const [unit, setUnit] = useState(() => rateUnitOf(value));
  const { per, word } = rateUnits[unit]!;
  return (
    <span className="at">
      <span className="muted">{t.config.signals.front[name]}</span>
      <NumberInput name={setting} label={label} per={per} unit="" control={control} />
      <select
        className="pick"
        aria-label={t.config.signals.rateUnit(label)}
        value={word}
        onChange={(event) => {
          const next = rateUnits.findIndex((one) => one.word === event.target.value);
          setUnit(next);
          form.set(setting, (value / per) * rateUnits[next]!.per);
        }}
      >
        {rateUnits.map((one) => (
          <option key={one.word}>{one.word}</option>
        ))}
      </select>
    </span>
  );
}
