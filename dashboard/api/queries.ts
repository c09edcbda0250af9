/** What the pages ask for, and how often. Keys begin with what they are of, so that a change can make them stale together. */
import { QueryClient, queryOptions, useQuery } from "@tanstack/react-query";
import type { SeriesSpan } from "../../core/protocol/live.ts";
import type { SessionView } from "../../core/protocol/session.ts";
import type { EventView } from "../../core/protocol/views.ts";
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
  queryFn: async ({ client }): Promise<SessionView> => {
    const session = await call("getSession");
    forgetOthers(client, session);
    return session;
  },
  staleTime: 60_000,
});

/** What one person saw, or saw of one team, is not there for the next: to be called before another session is put in. */
export function forgetOthers(client: QueryClient, now: SessionView): void {
  const before = client.getQueryData<SessionView>(sessionQuery.queryKey);
  if (!before || keyOfSession(before) === keyOfSession(now)) return;
  client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionQuery.queryKey[0] });
}

/** The same for whoever sees the same. */
export function keyOfSession({ user, team }: SessionView): string {
  return `${user?.id}/${team?.id}/${team?.role}`;
}

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
    // Somebody who looks elsewhere is told when it is up: nothing else tells them.
    refetchInterval: ({ state }) => (state.data?.status === "waking" ? 15_000 : every(15_000)()),
    refetchIntervalInBackground: true,
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
    // Newest first. What happened stays so: only what came since is asked for.
    queryFn: async ({ client, queryKey }) => {
      const known = client.getQueryData<EventView[]>(queryKey) ?? [];
      const fresh = await eventsAfter(id, known[0]?.seq ?? 0);
      return fresh.length === 0 ? known : [...fresh.reverse(), ...known];
    },
    // They are the same objects already, each at another place: nothing is gained by comparing them all.
    structuralSharing: false,
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

const eventsOfPage = 1000;

/** All of them, oldest first, as the API has them. */
async function eventsAfter(id: string, seq: number): Promise<EventView[]> {
  const all: EventView[] = [];
  for (let after = seq; ; ) {
    const { events, next_after } = await call("listEvents", { params: { id }, query: { after, limit: eventsOfPage } });
    all.push(...events);
    if (events.length < eventsOfPage) return all;
    after = next_after;
  }
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
