/** The form of one instance's settings: edits over what the API says they are, shared by its tabs. */
import { useQuery } from "@tanstack/react-query";
import { createContext, use, useCallback, useEffect, useMemo, useState } from "react";
import type { AutoHibernation } from "../../../core/protocol/config.ts";
import type { SettingSource } from "../../../core/protocol/policy.ts";
import { defaultSettings } from "../../api/contract.ts";
import { policiesQuery } from "../../api/queries.ts";
import {
  type Config,
  draftOf,
  type Edits,
  inheritedFrom,
  type NewEdit,
  namesOf,
  type Problem,
  type SettingName,
  sourceOf,
  withEdit,
} from "./form.ts";

export interface Form {
  loaded: AutoHibernation;
  /** As it would be. */
  draft: AutoHibernation;
  edits: Edits;
  gpuType: string | null;
  isValid: boolean;
  /** What the API did not take, by the setting's name. */
  issues: Record<string, string>;
  set(name: SettingName, value: unknown): void;
  setBad(name: SettingName, raw: unknown, problem: Problem): void;
  /** The defaults decide these again. */
  unset(names: readonly SettingName[]): void;
  undo(names: readonly SettingName[]): void;
  sourceOf(names: readonly SettingName[]): SettingSource;
  setEdits(change: (edits: Edits) => Edits): void;
  setIssues(issues: Record<string, string>): void;
  /** A key that was just made, shown this once: a look at another tab does not lose it. */
  made: NewKey | null;
  setMade(made: NewKey): void;
}

interface NewKey {
  name: string;
  secret: string;
}

export function useNewForm(config: Config): Form {
  const [edits, setEdits] = useState<Edits>({});
  const [issues, setIssues] = useState<Record<string, string>>({});
  const [made, setMade] = useState<NewKey | null>(null);
  const { data: policies } = useQuery(policiesQuery);
  const loaded = config.auto_hibernation;
  const inherited = useMemo(
    () => inheritedFrom(policies ?? [], config.gpu_type, defaultSettings),
    [policies, config.gpu_type],
  );
  const draft = useMemo(() => draftOf(loaded, edits, inherited), [loaded, edits, inherited]);
  const change = useCallback(
    (names: readonly SettingName[], edit: NewEdit | null) => {
      setEdits((all) => names.reduce((left, name) => withEdit(left, name, loaded, edit), all));
      setIssues((all) =>
        Object.fromEntries(Object.entries(all).filter(([name]) => !names.includes(name as SettingName))),
      );
    },
    [loaded],
  );
  useUnsavedWarning(namesOf(edits).length > 0);
  return {
    loaded,
    draft,
    edits,
    issues,
    gpuType: config.gpu_type,
    isValid: namesOf(edits).every((name) => edits[name]!.is !== "bad"),
    set: (name, value) => change([name], { is: "value", value }),
    setBad: (name, raw, problem) => change([name], { is: "bad", raw, problem }),
    unset: (names) => change(names, { is: "unset" }),
    undo: (names) => change(names, null),
    sourceOf: (names) => sourceOf(config.sources, names),
    setEdits,
    setIssues,
    made,
    setMade,
  };
}

/** Before the page itself goes. */
function useUnsavedWarning(isDirty: boolean): void {
  useEffect(() => {
    if (!isDirty) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [isDirty]);
}

const Context = createContext<Form | null>(null);
export const FormContext = Context;

export function useForm(): Form {
  const form = use(Context);
  if (!form) throw new Error("outside of FormContext");
  return form;
}
