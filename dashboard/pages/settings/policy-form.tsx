/** A policy is what it names. Empty fields are named nowhere, and show what counts then. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import type { AnswerOf } from "../../../core/protocol/api.ts";
import { call } from "../../api/client.ts";
import { defaultSettings, limitsOf } from "../../api/contract.ts";
import { Failure } from "../../api/failure.ts";
import { instancesQuery, policiesQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { TextField } from "./pieces.tsx";
import { PolicyField } from "./policy-field.tsx";
import {
  changeOf,
  type Draft,
  draftOf,
  type FieldName,
  fieldNames,
  fieldsRefused,
  isWrong,
  othersOf,
  settingAt,
} from "./policy-fields.ts";
import { usePolicyWords } from "./policy-words.ts";

type Policy = AnswerOf<"listPolicies">["policies"][number];
type Reached = AnswerOf<"putPolicy">["instances"];

interface Props {
  /** Null: a new one, for a GPU type that is still to be named. */
  policy: Policy | null;
  policies: readonly Policy[];
  onSaved: (reached: Reached) => void;
  onClose: () => void;
}

export function PolicyForm({ policy, policies, onSaved, onClose }: Props) {
  const { t } = useReader();
  const words = t.settings.policy;
  const { nameOf } = usePolicyWords();
  const form = usePolicyDraft(policy, onSaved, onClose);
  const { change, wrong, error } = form;
  const [isLeaving, setIsLeaving] = useState(false);
  const mayClose = () => {
    if (change) setIsLeaving(true);
    return !change;
  };
  return (
    <Dialog
      title={policy === null ? words.add : nameOf(policy.gpu_type)}
      lead={words.emptyMeans}
      mayClose={mayClose}
      isHeld={form.isBusy}
      onClose={onClose}
    >
      <form className="dlg-form" onSubmit={form.save} noValidate>
        <div className="sec">
          {policy === null && <GpuField value={form.gpu} isWrong={form.isGpuWrong} onChange={form.setGpu} />}
          {fieldNames.map((name) => (
            <PolicyField
              key={name}
              name={name}
              value={form.draft[name]}
              fallback={fallbackOf(name, policy?.gpu_type === null ? [] : policies)}
              isWrong={wrong.includes(name)}
              isRefused={form.refused.includes(name)}
              onChange={(value) => form.set(name, value)}
            />
          ))}
          <Others names={othersOf(policy?.auto_hibernation ?? {})} dropped={form.dropped} onDrop={form.setDropped} />
          {error !== null && <FailureNote error={error} />}
        </div>
        <footer>
          {isLeaving && change ? (
            <Leave onStay={() => setIsLeaving(false)} onLeave={onClose} />
          ) : (
            <div className="end">
              <Button tone="ghost" onClick={() => mayClose() && onClose()}>
                {t.common.action.cancel}
              </Button>
              <Button type="submit" tone="ink" isBusy={form.isBusy} disabled={!change || wrong.length > 0}>
                {words.save}
              </Button>
            </div>
          )}
        </footer>
      </form>
    </Dialog>
  );
}

/** What was typed, what of it differs from the policy, and its way to the API. */
function usePolicyDraft(policy: Policy | null, onSaved: (reached: Reached) => void, onClose: () => void) {
  const queries = useQueryClient();
  const before = policy?.auto_hibernation ?? {};
  const [gpu, setGpu] = useState(policy?.gpu_type ?? "");
  const [draft, setDraft] = useState<Draft>(() => draftOf(before));
  const [dropped, setDropped] = useState<string[]>([]);
  const [isTried, setIsTried] = useState(false);
  const { isBusy, error, run, forget } = useAsk();
  const change = changeOf(before, draft, dropped);
  const wrong = fieldNames.filter((name) => isWrong(name, draft[name], limitsOf(name)));
  const isGpuMissing = policy === null && gpu.trim() === "";
  const save = (event: FormEvent) => {
    event.preventDefault();
    setIsTried(true);
    if (!change || wrong.length > 0 || isGpuMissing || isBusy) return;
    void run(async () => {
      const gpu_type = policy === null ? gpu.trim() : policy.gpu_type;
      const { instances } = await call("putPolicy", { body: { gpu_type, ...change } });
      await queries.invalidateQueries({ queryKey: policiesQuery.queryKey });
      void queries.invalidateQueries({ queryKey: ["instance"] });
      onSaved(instances);
      onClose();
    });
  };
  const set = (name: FieldName, value: string) => {
    setDraft({ ...draft, [name]: value });
    forget();
  };
  return {
    ...{ gpu, setGpu, draft, set, dropped, setDropped, change, wrong, isBusy, error, save },
    isGpuWrong: isTried && isGpuMissing,
    refused: error instanceof Failure ? fieldsRefused(error.issues) : [],
  };
}

/** What counts where this policy does not name it. */
function fallbackOf(name: FieldName, policies: readonly Policy[]): unknown {
  const forAll = policies.find((policy) => policy.gpu_type === null)?.auto_hibernation ?? {};
  return settingAt(forAll, name) ?? settingAt(defaultSettings, name);
}

function GpuField({
  value,
  isWrong: isMissing,
  onChange,
}: {
  value: string;
  isWrong: boolean;
  onChange: (value: string) => void;
}) {
  const { t } = useReader();
  const words = t.settings.policy;
  const id = useId();
  const { data: rows } = useQuery(instancesQuery);
  const types = [...new Set(rows?.flatMap((row) => row.gpu_type ?? []))].sort();
  return (
    <>
      <TextField
        id={id}
        label={words.gpu}
        hint={words.gpuHint}
        value={value}
        list={`${id}-types`}
        wrong={isMissing ? words.gpuMissing : null}
        onChange={onChange}
      />
      <datalist id={`${id}-types`}>
        {types.map((type) => (
          <option key={type} value={type} />
        ))}
      </datalist>
    </>
  );
}

interface OthersProps {
  names: readonly string[];
  dropped: readonly string[];
  onDrop: (dropped: string[]) => void;
}

/** What the form has no field for can at least be taken away. */
function Others({ names, dropped, onDrop }: OthersProps) {
  const { t } = useReader();
  const words = t.settings.policy;
  if (names.length === 0) return null;
  const toggle = (name: string) =>
    onDrop(dropped.includes(name) ? dropped.filter((one) => one !== name) : [...dropped, name]);
  return (
    <fieldset className="others">
      <legend>{words.elsewhere}</legend>
      <p className="sub">{words.elsewhereHint}</p>
      {names.map((name) => (
        <label key={name}>
          <input type="checkbox" className="ck" checked={dropped.includes(name)} onChange={() => toggle(name)} />
          <span className="mono">{name}</span> <span className="muted">{words.takeAway}</span>
        </label>
      ))}
    </fieldset>
  );
}

function Leave({ onStay, onLeave }: { onStay: () => void; onLeave: () => void }) {
  const words = useReader().t.settings.policy;
  return (
    <>
      <p role="alert">{words.unsaved}</p>
      <div className="end">
        <Button tone="ghost" onClick={onLeave}>
          {words.discard}
        </Button>
        <Button tone="ink" onClick={onStay}>
          {words.keepEditing}
        </Button>
      </div>
    </>
  );
}
