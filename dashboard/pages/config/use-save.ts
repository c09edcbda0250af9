/** Saving: what changed and nothing else, after a look at what somebody else may have changed meanwhile. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { call } from "../../api/client.ts";
import { Failure } from "../../api/failure.ts";
import { configQuery, instancesQuery } from "../../api/queries.ts";
import { type Config, conflictsOf, issuesByName, namesOf, rebased, requestsOf, type SettingName } from "./form.ts";
import type { Form } from "./use-form.ts";

export function useSave(id: string, form: Form) {
  const queries = useQueryClient();
  const [isBusy, setIsBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [conflicts, setConflicts] = useState<SettingName[]>([]);
  const [isSaved, setIsSaved] = useState(false);
  const { queryKey } = configQuery(id);

  const send = async () => {
    const sent = form.edits;
    const { schedule, config } = requestsOf(sent, form.draft);
    let isSchedule = schedule !== null;
    try {
      if (schedule) {
        const { schedule: _, ...answer } = await call("putSchedule", { params: { id }, body: schedule });
        queries.setQueryData(queryKey, answer);
        form.setEdits(({ schedule: _, wake_method: __, ...left }) => left);
      }
      isSchedule = false;
      if (config) queries.setQueryData(queryKey, await call("putConfig", { params: { id }, body: config }));
      // What was typed while it went stays.
      form.setEdits((now) =>
        Object.fromEntries(Object.entries(now).filter(([name, edit]) => edit !== sent[name as SettingName])),
      );
      setIsSaved(true);
    } catch (failed) {
      if (failed instanceof Failure) form.setIssues(issuesByName(failed.issues, isSchedule));
      throw failed;
    } finally {
      void queries.invalidateQueries({ queryKey: ["instance", id] });
      void queries.invalidateQueries({ queryKey: instancesQuery.queryKey });
    }
  };

  const save = async () => {
    setIsBusy(true);
    setError(null);
    setIsSaved(false);
    form.setIssues({});
    try {
      const fresh: Config = await queries.fetchQuery({ ...configQuery(id), staleTime: 0 });
      const meanwhile = conflictsOf(form.edits, fresh.auto_hibernation);
      setConflicts(meanwhile);
      if (meanwhile.length === 0) await send();
    } catch (failed) {
      setError(failed);
    } finally {
      setIsBusy(false);
    }
  };

  /** After it was said: one's own word stays, and is sent at the next save. */
  const keepMine = () => {
    form.setEdits((edits) => rebased(edits, conflicts, form.loaded));
    setConflicts([]);
  };
  const takeTheirs = () => {
    form.undo(conflicts);
    setConflicts([]);
  };
  const shown = conflicts.filter((name) => namesOf(form.edits).includes(name));
  return { isBusy, error, isSaved, conflicts: shown, save, keepMine, takeTheirs };
}
