/** What whoever is signed in may ask for, as the API says it. */
import { useQueryClient } from "@tanstack/react-query";
import type { RouteName } from "../../core/protocol/api.ts";
import { sessionQuery } from "../api/queries.ts";

/** It changes with who is signed in, and with that the whole page: no row of a long list needs to watch it. */
export function useMay(): (name: RouteName) => boolean {
  const session = useQueryClient().getQueryData(sessionQuery.queryKey);
  return (name) => session?.may.includes(name) ?? false;
}
