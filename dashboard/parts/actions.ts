/**
 * What can be asked of an instance from the page. Nothing is shown before it is so: the answer of the API, which says what the
 * instance is doing now, is put where every view finds it.
 */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import type { InstanceView } from "../../core/protocol/views.ts";
import { call } from "../api/client.ts";
import { instanceQuery, instancesQuery } from "../api/queries.ts";
import { useFailureWords } from "../ui/failure.tsx";
import { useVoice } from "../ui/toast.tsx";

export function useInstanceAction(id: string) {
  const queries = useQueryClient();
  const voice = useVoice();
  const words = useFailureWords();
  const [isBusy, setIsBusy] = useState(false);

  /** True: it was taken. What went wrong is told. */
  const run = async (ask: () => Promise<InstanceView>, done?: string): Promise<boolean> => {
    setIsBusy(true);
    try {
      const view = await ask();
      queries.setQueryData(instanceQuery(id).queryKey, view);
      if (done) voice.announce(done);
      return true;
    } catch (error) {
      const { what, next, detail, code } = words(error);
      voice.failed(what, [next, detail, code].filter(Boolean).join(" "));
      return false;
    } finally {
      setIsBusy(false);
      void queries.invalidateQueries({ queryKey: instancesQuery.queryKey });
      void queries.invalidateQueries({ queryKey: ["instance", id] });
    }
  };

  const params = { id };
  return {
    isBusy,
    run,
    hibernate: (done?: string) => run(() => call("hibernateInstance", { params }), done),
    wake: (done?: string) => run(() => call("wakeInstance", { params }), done),
    keepAwake: (minutes: number, done?: string) => run(() => call("keepAwake", { params, body: { minutes } }), done),
    letSleep: (done?: string) => run(() => call("letSleep", { params }), done),
    notNow: (done?: string) => run(() => call("notNow", { params }), done),
    rename: (name: string) => run(() => call("renameInstance", { params, body: { name } })),
    discard: () => run(() => call("discardInstance", { params, body: { confirm: id } })),
  };
}
