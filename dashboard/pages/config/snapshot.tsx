/** How much a machine that vanishes would take with it, how long snapshots stay, and what runs around a sleep. */
import { useState } from "react";
import { useReader } from "../../i18n/context.tsx";
import { Field, NumberField, OwnersFields, Rich, Side, SwitchField } from "./fields.tsx";
import { useForm } from "./use-form.ts";

export function SnapshotTab() {
  const { t, f } = useReader();
  const form = useForm();
  const words = t.config.snapshot;
  const { checkpoint, retention } = form.draft;
  return (
    <>
      <div>
        <h3 className="h3 first">{words.checkpoints}</h3>
        <SwitchField name="checkpoint.enabled" label={words.enabled} hint={words.enabledHint} />
        <NumberField name="checkpoint.interval_minutes" label={words.interval} unit={t.config.idle.min} />
        <NumberField
          name="checkpoint.min_change_mb"
          label={words.least}
          hint={words.leastHint}
          unit={words.megabytes}
        />
        <OwnersFields>
          <h3 className="h3">{words.retention}</h3>
          <NumberField name="retention.keep_newest" label={words.newest} hint={words.newestHint} unit="" isWhole />
          <NumberField
            name="retention.keep_days"
            label={words.days}
            hint={words.daysHint}
            unit={words.day}
            mayBeEmpty
          />
          <h3 className="h3">{words.hooks}</h3>
          <Hook name="hooks.before_sleep" label={words.before} hint={words.beforeHint} />
          <Hook name="hooks.after_wake" label={words.afterWake} hint={words.afterWakeHint} />
          <NumberField name="hooks.timeout_seconds" label={words.timeout} unit={t.config.idle.s} />
        </OwnersFields>
      </div>
      <Side>
        <p className="words">
          <Rich
            words={`${
              checkpoint.enabled ? words.loses(f.duration(checkpoint.interval_minutes * 60_000)) : words.losesAll
            } ${
              retention.keep_days === null
                ? words.keeps(f.number(retention.keep_newest))
                : words.keepsDays(f.number(retention.keep_newest), retention.keep_days)
            }`}
          />
        </p>
        <p className="note">{words.note}</p>
      </Side>
    </>
  );
}

/** Empty: the workspace's own script, where there is one. */
function Hook({ name, label, hint }: { name: "hooks.before_sleep" | "hooks.after_wake"; label: string; hint: string }) {
  const form = useForm();
  const [typed, setTyped] = useState<string | null>(null);
  const kept = form.draft.hooks[name === "hooks.before_sleep" ? "before_sleep" : "after_wake"] ?? "";
  return (
    <Field names={[name]} label={label} hint={hint} isWide>
      {(control) => (
        <textarea
          {...control}
          className="field mono"
          rows={2}
          maxLength={4_096}
          spellCheck={false}
          value={typed ?? kept}
          onBlur={() => setTyped(null)}
          onChange={(event) => {
            setTyped(event.target.value);
            form.set(name, event.target.value.trim() || null);
          }}
        />
      )}
    </Field>
  );
}
