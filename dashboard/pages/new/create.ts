/** Makes an instance and goes to it. A create is never asked twice: each would rent a machine. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useLocation } from "wouter";
import type { BodyOf } from "../../../core/protocol/api.ts";
import { call } from "../../api/client.ts";
import { instanceQuery, instancesQuery } from "../../api/queries.ts";

export function useCreate() {
  const queries = useQueryClient();
  const [, go] = useLocation();
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setIsBusy] = useState(false);
  const create = async (body: BodyOf<"createInstance">) => {
    setIsBusy(true);
    setError(null);
    try {
      const view = await call("createInstance", { body });
      queries.setQueryData(instanceQuery(view.id).queryKey, view);
      await queries.invalidateQueries({ queryKey: instancesQuery.queryKey });
      go(`/i/${view.id}`);
    } catch (failure) {
      setError(failure);
      void queries.invalidateQueries({ queryKey: instancesQuery.queryKey });
    } finally {
      setIsBusy(false);
    }
  };
  return { create, error, isBusy };
}
