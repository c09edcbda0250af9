/** What the page asks for. An answer keeps the name of its period, so that it is never shown under that of another. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { call } from "../../api/client.ts";
import type { PeriodDates, PeriodName } from "./period.ts";

const everyMs = 120_000;

export const periodQuery = (period: PeriodName, { from, to, slots }: PeriodDates, tz: string) =>
  queryOptions({
    queryKey: ["money", "period", period, from, to, tz],
    queryFn: async () => ({
      period,
      slots,
      answer: await call("getSavings", { query: { from, ...(to && { to }), tz } }),
    }),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
    refetchInterval: everyMs,
  });

/** Of the same moments as the answer that it explains, so that both say the same to the micro-dollar. */
export const ledgerOfPeriodQuery = (id: string, from: string, to: string, tz: string) =>
  queryOptions({
    queryKey: ["instance", id, "ledger", from, to, tz],
    queryFn: () => call("getLedger", { params: { id }, query: { from, to, tz } }),
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
  });
