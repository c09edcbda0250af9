/** What the pages ask for, and how often. Keys begin with what they are of, so that a change can make them stale together. */
import { QueryClient, queryOptions, useQuery } from "@tanstack/react-query";
import type { SeriesSpan } from "../../core/protocol/live.ts";
import { call } from "./client.ts";
import { Failure } from "./failure.ts";

export function createQueries(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        retry: (count, error) => count < 2 && isPassing(error),
        retryDelay: (attempt, error) =>
          error instanceof Failure && error.retryAfterMs !== null
            ? Math.min(error.retryAfterMs, 10_000)
            : 500 * 2 ** attempt,
        staleTime: 1_000,
        refetchOnWindowFocus: true,
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });
}

export function isPassing(error: unknown): boolean {
  return error instanceof Failure && (error.status === null || error.status === 429 || error.status >= 500);
}

/** Slower while the page lies in the background: it is asked again once it is looked at. */
const every = (ms: number) => () => (document.visibilityState === "hidden" ? Math.max(60_000, ms * 4) : ms);

export const sessionQuery = queryOptions({
  queryKey: ["session"],
  queryFn: () => call("getSession"),
  staleTime: 60_000,
});

export const instancesQuery = queryOptions({
  queryKey: ["instances"],
  queryFn: async () => (await call("listInstances", { query: { live: "true" } })).instances,
  refetchInterval: every(5_000),
  // Asking goes on in the background, slowly.
  refetchIntervalInBackground: true,
});

export const instanceQuery = (id: string) =>
  queryOptions({
    queryKey: ["instance", id, "now"],
    queryFn: () => call("getInstance", { params: { id } }),
    refetchInterval: every(15_000),
  });

/** From the first moment of this month, by the reader's own clock. */
export const monthQuery = (tz: string) =>
  queryOptions({
    queryKey: ["money", "month", tz],
    queryFn: () => call("getSavings", { query: { from: monthStart(tz), tz } }),
    refetchInterval: every(60_000),
    staleTime: 30_000,
  });

export const ledgerQuery = (id: string, from: string, tz: string) =>
  queryOptions({
    queryKey: ["instance", id, "ledger", from, tz],
    queryFn: () => call("getLedger", { params: { id }, query: { from, tz } }),
    staleTime: 30_000,
    refetchInterval: every(60_000),
  });

export const eventsQuery = (id: string) =>
  queryOptions({
    queryKey: ["instance", id, "events"],
    queryFn: () => allEvents(id),
    refetchInterval: every(15_000),
  });

export const snapshotsQuery = (id: string) =>
  queryOptions({
    queryKey: ["instance", id, "snapshots"],
    queryFn: async () => (await call("listSnapshots", { params: { id } })).snapshots,
    staleTime: 10_000,
  });

export const configQuery = (id: string) =>
  queryOptions({
    queryKey: ["instance", id, "config"],
    queryFn: () => call("getConfig", { params: { id } }),
  });

export const policiesQuery = queryOptions({
  queryKey: ["policies"],
  queryFn: async () => (await call("listPolicies")).policies,
});

export const tokensQuery = queryOptions({
  queryKey: ["tokens"],
  queryFn: async () => (await call("listTokens")).tokens,
});

export const channelsQuery = queryOptions({
  queryKey: ["channels"],
  queryFn: async () => (await call("listChannels")).channels,
});

export const healthQuery = queryOptions({ queryKey: ["health"], queryFn: () => call("health"), staleTime: 60_000 });

export const keysOfSpan = (id: string, span: SeriesSpan) => ["instance", id, "series", span] as const;

/** At most the last of many pages matters to a reader, but the first is where the API begins. */
async function allEvents(id: string) {
  const all = [];
  let after = 0;
  for (let page = 0; page < 20; page++) {
    const { events, next_after } = await call("listEvents", { params: { id }, query: { after, limit: 1000 } });
    all.push(...events);
    if (events.length < 1000) break;
    after = next_after;
  }
  return all.reverse();
}

export function monthStart(tz: string, now = Date.now()): string {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: tz, year: "numeric", month: "2-digit" }).formatToParts(
    now,
  );
  const of = (type: string) => parts.find((part) => part.type === type)!.value;
  return `${of("year")}-${of("month")}-01`;
}

export function useSession() {
  return useQuery(sessionQuery);
}

/** The id of who is signed in. */
export function useMe() {
  return useSession().data?.user?.id;
}
