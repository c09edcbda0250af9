/** The routes of money: the ledger of an instance, and what sleeping saved. */
import { bytesPerGb } from "../../core/lifecycle/amount.ts";
import { type Books, booksBySpan, type Span } from "../../core/lifecycle/books.ts";
import { daysOf, startOfDate, startOfDay } from "../../core/lifecycle/days.ts";
import { forecast, lowShare } from "../../core/lifecycle/forecast.ts";
import { type ClimbFacts, climbWords } from "../../core/lifecycle/ladder.ts";
import { type Savings, savingsBetween } from "../../core/lifecycle/savings.ts";
import type { MachineSpec } from "../../core/lifecycle/types.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { type Estimate, type EstimateAnswer, maxPeriodDays, type Period } from "../../core/protocol/money.ts";
import { accountFor } from "../account/accounts.ts";
import { climbLadder } from "../providers/climb.ts";
import { objectOf, orThrow } from "./ask.ts";
import { type App, type AppContext, askerOf, teamOf } from "./context.ts";
import { idOf, instancesSeen } from "./instances.ts";
import { cycleViews, ledgerRows, savingsView, storageMeasuredAt } from "./money-view.ts";
import { mount } from "./mount.ts";

const dayMs = 86_400_000;
const usualDays = 30;
/** Objects that are asked at the same time. */
const askedAtOnce = 20;

export function mountMoney(app: App): void {
  mount(app, "getLedger", async (c, { query }) => {
    const now = Date.now();
    const span = spanOfPeriod(query, now);
    const id = idOf(c);
    const { books, name } = orThrow(await objectOf(c, id).books(askerOf(c), null));
    return {
      id,
      name,
      ...bounds(span, query.tz),
      rows: ledgerRows(books, span, query.tz, now),
      cycles: cycleViews(books, span, now),
      total: savingsView([savingsBetween(books, span, now)]),
      storage_measured_at: storageMeasuredAt(books),
    };
  });

  mount(app, "estimate", (c, { query }) => estimateFor(c, query));

  mount(app, "getSavings", async (c, { query }) => {
    const now = Date.now();
    const span = spanOfPeriod(query, now);
    const { found, missing } = await booksOfAll(c, span);
    const whole = found.map(({ books }) => savingsBetween(books, span, now));
    const within = found.map(({ books }) => booksBySpan(books, now));
    const days = daysOf(span, query.tz).map(({ date, fromAt, toAt }) => {
      const day = { fromAt, toAt };
      const ofDay: Savings[] = within.map((of) => savingsBetween(of(day), day, now));
      return { date, from: iso(fromAt), to: iso(toAt), ...savingsView(ofDay) };
    });
    return {
      ...bounds(span, query.tz),
      instances: found.map(({ id, name, books }, i) => ({
        id,
        name,
        ...savingsView([whole[i]!]),
        storage_measured_at: storageMeasuredAt(books),
      })),
      days,
      total: savingsView(whole),
      missing,
    };
  });
}

/** What a create would take now, with what sleeping would save on it. Errors: no_offer, the provider's. */
async function estimateFor(c: AppContext, query: Estimate): Promise<EstimateAnswer> {
  const spec: MachineSpec = {
    gpuType: query.gpu_type?.replaceAll("_", " ") ?? null,
    gpuCount: query.gpu_count,
    region: query.region?.toUpperCase() ?? null,
    diskGb: query.disk_gb,
    image: "",
    maxMicroUsdPerHour: null,
  };
  const storedBytes = query.workspace_gb * bytesPerGb;
  const facts: ClimbFacts = { reach: "same", usual: null, workspaceBytes: storedBytes };
  const { account } = await accountFor(c.env, teamOf(c));
  const { offer, climb } = orThrow(
    await climbLadder((wanted) => account.searchOffers(wanted), { spec, avoid: [], facts }),
  );
  if (!offer) throw new AppError("no_offer", { ladder: climbWords(climb) });
  const said = forecast(
    {
      awakeMicroUsdPerHour: offer.microUsdPerHour,
      upMicroUsdPerGb: offer.upMicroUsdPerGb,
      downMicroUsdPerGb: offer.downMicroUsdPerGb,
      storedBytes,
      uploadBytes: (query.upload_gb ?? query.workspace_gb) * bytesPerGb,
      wakeMs: query.wake_minutes === undefined ? null : query.wake_minutes * 60_000,
    },
    { usesPerDay: query.uses_per_day, hoursPerDay: query.hours_per_day, idleMs: query.idle_minutes * 60_000 },
  );
  // A bound that is high says nothing of a share that may be low.
  const isLow =
    said.savedShare === null || (said.isAtMost && said.savedShare >= lowShare) ? null : said.savedShare < lowShare;
  return {
    offer: {
      gpu_type: offer.gpuType,
      gpu_count: offer.gpuCount,
      region: offer.region,
      micro_usd_per_hour: offer.microUsdPerHour,
      disk_micro_usd_per_hour: offer.diskMicroUsdPerHour ?? null,
      up_micro_usd_per_gb: offer.upMicroUsdPerGb,
      down_micro_usd_per_gb: offer.downMicroUsdPerGb,
    },
    saved_share: said.savedShare,
    is_at_most: said.isAtMost,
    is_low: isLow,
    cycle_traffic_micro_usd: said.cycleTrafficMicroUsd,
    break_even_seconds: said.breakEvenMs === null ? null : said.breakEvenMs / 1000,
  };
}

/** One that does not answer keeps none of the others from being shown. */
async function booksOfAll(c: AppContext, span: Span) {
  const by = askerOf(c);
  const all = await instancesSeen(c);
  const found: { id: string; name: string; books: Books }[] = [];
  const missing: string[] = [];
  for (let i = 0; i < all.length; i += askedAtOnce) {
    const few = all.slice(i, i + askedAtOnce);
    const answers = await Promise.allSettled(few.map(({ id }) => c.env.INSTANCE.getByName(id).books(by, span)));
    answers.forEach((answer, j) => {
      const { id } = few[j]!;
      if (answer.status === "fulfilled" && answer.value.ok) found.push({ id, ...answer.value });
      else missing.push(id);
    });
  }
  return { found, missing };
}

/** Errors: invalid_input. */
function spanOfPeriod({ from, to, tz }: Period, now: number): Span {
  const toAt = to === undefined ? now : read(to, tz);
  const fromAt = from === undefined ? startOfDay(toAt - (usualDays - 1) * dayMs, tz) : read(from, tz);
  const refuse = (path: string, message: string) => new AppError("invalid_input", { issues: [{ path, message }] });
  if (toAt <= fromAt) throw refuse("to", "later than from");
  if (toAt - fromAt > maxPeriodDays * dayMs) throw refuse("from", `a period of at most ${maxPeriodDays} days`);
  return { fromAt, toAt };
}

function read(moment: string, tz: string): number {
  return moment.includes("T") ? Date.parse(moment) : startOfDate(moment, tz);
}

function bounds({ fromAt, toAt }: Span, tz: string) {
  return { from: iso(fromAt), to: iso(toAt), tz };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
