/** When it may fall asleep, and what counts as work. */
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { Choices, Field, NumberField, NumberInput, Rich, Side, SwitchField, vars } from "./fields.tsx";
import { Preview, usePreview } from "./preview.tsx";
import { idleSentence } from "./sentence.ts";
import { Signals } from "./signals.tsx";
import { useForm } from "./use-form.ts";

export function IdleTab({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const form = useForm();
  const words = t.config.idle;
  const preview = usePreview(view.id);
  const price = view.machine?.micro_usd_per_hour ?? preview.data?.replay?.micro_usd_per_hour ?? null;
  return (
    <>
      <div>
        <SwitchField name="enabled" label={words.enabled} hint={words.enabledHint} />
        <Threshold />
        <IdleMinutes view={view} />
        <Signals />
        <PauseMode />
        <NumberField name="grace_minutes" label={words.grace} hint={words.graceHint} unit={words.min} />
        <NumberField name="not_now_minutes" label={words.notNow} hint={words.notNowHint} unit={words.min} />
        <NumberField name="keep_awake_max_hours" label={words.keepAwake} hint={words.keepAwakeHint} unit={words.h} />
        <NumberField
          name="delete_after_pause_minutes"
          label={words.deleted}
          hint={words.deletedHint(keepWords())}
          unit={words.min}
        />
        <NumberField name="check_interval_seconds" label={words.interval} hint={words.intervalHint} unit={words.s} />
      </div>
      <Side className="prev">
        <p className="words">
          <Rich words={idleSentence(form.draft, price, { t, f })} />
        </p>
        <Preview state={preview} />
      </Side>
    </>
  );

  function keepWords(): string {
    const { keep_days, keep_newest } = form.draft.retention;
    return keep_days === null ? words.keptNewest(f.number(keep_newest)) : words.keptDays(f.number(keep_days, 0));
  }
}

const sliderMost = 50;

function Threshold() {
  const { t } = useReader();
  const form = useForm();
  const words = t.config.idle;
  const value = form.draft.gpu_usage_threshold;
  const at = Math.min(value, sliderMost);
  return (
    <Field names={["gpu_usage_threshold"]} label={words.threshold} hint={words.thresholdHint}>
      {(control) => (
        <>
          <NumberInput name="gpu_usage_threshold" control={control} unit={words.percentGpu} />
          <input
            className="rng full"
            type="range"
            min={1}
            max={sliderMost}
            step={1}
            value={at}
            aria-label={words.thresholdSlider}
            aria-valuetext={`${value} %`}
            style={vars({ "--p": `${((at - 1) / (sliderMost - 1)) * 100}%` })}
            onChange={(event) => form.set("gpu_usage_threshold", Number(event.target.value))}
          />
        </>
      )}
    </Field>
  );
}

function IdleMinutes({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const form = useForm();
  const words = t.config.idle;
  const name = "pause_after_idle_minutes";
  const isAuto = form.draft[name] === "auto";
  const pays = view.sleep_rule.break_even_seconds;
  const before = form.loaded[name];
  return (
    <Field names={[name]} label={words.after} hint={isAuto ? words.afterAutoHint : words.afterHint} isWide isGroup>
      {(control) => (
        <div className="after">
          <Choices
            name={name}
            value={isAuto ? "auto" : "minutes"}
            choices={[
              { value: "minutes", label: words.afterMinutes },
              {
                value: "auto",
                label: words.afterAuto,
                hint: pays === null ? undefined : words.paysAfter(f.duration(pays * 1000)),
              },
            ]}
            onChange={(value) => form.set(name, value === "auto" ? "auto" : before === "auto" ? 3 : before)}
          />
          {!isAuto && <NumberInput name={name} control={control} label={words.afterLabel} unit={words.min} />}
        </div>
      )}
    </Field>
  );
}

function PauseMode() {
  const { t } = useReader();
  const form = useForm();
  const words = t.config.idle;
  return (
    <Field names={["pause_mode"]} label={words.mode} isWide isGroup>
      {() => (
        <Choices
          name="pause_mode"
          value={form.draft.pause_mode}
          choices={[
            { value: "destroy", label: words.destroy, hint: words.destroyHint },
            { value: "stop", label: words.stop, hint: words.stopHint },
          ]}
          onChange={(value) => form.set("pause_mode", value)}
        />
      )}
    </Field>
  );
}
