/** The routes of money: the ledger of an instance, and what sleeping saved. */
import type { Books, Span } from "../../core/lifecycle/books.ts";
import { daysOf, startOfDate, startOfDay } from "../../core/lifecycle/days.ts";
import { type Savings, savingsBetween } from "../../core/lifecycle/savings.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { maxPeriodDays, type Period } from "../../core/protocol/money.ts";
import { listInstances } from "../db/read-model.ts";
import type { App, AppContext } from "./context.ts";
import { idOf, objectOf, orThrow, userOf } from "./instances.ts";
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
    const { books, name } = orThrow(await objectOf(c, id).books(userOf(c).id, null));
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

  mount(app, "getSavings", async (c, { query }) => {
    const now = Date.now();
    const span = spanOfPeriod(query, now);
    const { found, missing } = await booksOfAll(c, span);
    const whole = found.map(({ books }) => savingsBetween(books, span, now));
    const days = daysOf(span, query.tz).map(({ date, fromAt, toAt }) => {
      const ofDay: Savings[] = found.map(({ books }) => savingsBetween(books, { fromAt, toAt }, now));
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

/** One that does not answer keeps none of the others from being shown. */
async function booksOfAll(c: AppContext, span: Span) {
  const user = userOf(c).id;
  const all = await listInstances(c.env.DB, user);
  const found: { id: string; name: string; books: Books }[] = [];
  const missing: string[] = [];
  for (let i = 0; i < all.length; i += askedAtOnce) {
    const few = all.slice(i, i + askedAtOnce);
    const answers = await Promise.allSettled(few.map(({ id }) => c.env.INSTANCE.getByName(id).books(user, span)));
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
