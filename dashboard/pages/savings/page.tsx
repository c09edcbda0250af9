/** What sleeping kept: in one sentence, day by day, per instance, and how it is computed. */
import { useQuery } from "@tanstack/react-query";
import { Link, useSearchParams } from "wouter";
import type { SavingsAnswer, SavingsView } from "../../../core/protocol/money.ts";
import { instancesQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { capital } from "../../shell/meter.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { useNow } from "../../ui/now.ts";
import { Stale, useTitle } from "../instances/page.tsx";
import { machinePaid, storagePaid } from "./amounts.ts";
import { Days } from "./days.tsx";
import { How } from "./how.tsx";
import { PerInstance } from "./per-instance.tsx";
import { datesOf, type PeriodName, periodOf, periods } from "./period.ts";
import { periodQuery } from "./query.ts";
import { hasUnknown, Unknown } from "./unknown.tsx";

export function SavingsPage() {
  const { t, zone } = useReader();
  const [search] = useSearchParams();
  const period = periodOf(search.get("period"));
  const now = useNow(60_000);
  const { data, error, dataUpdatedAt, isPlaceholderData, refetch } = useQuery(
    periodQuery(period, datesOf(period, zone, now), zone),
  );
  useTitle(t.savings.title);
  const isDim = isPlaceholderData || (data !== undefined && error !== null);
  return (
    <div className={`savings stack${isDim ? " is-old" : ""}`} aria-busy={isPlaceholderData || (!data && !error)}>
      <div className="headline">
        {data ? <Headline period={data.period} answer={data.answer} now={now} /> : !error && <HeadlineBones />}
        <Picker period={period} now={now} />
      </div>
      {data && error && <Stale error={error} at={dataUpdatedAt} onRetry={refetch} />}
      {data ? (
        <Body period={data.period} slots={data.slots} answer={data.answer} />
      ) : error ? (
        <FailureNote error={error} onRetry={refetch} />
      ) : (
        <Bones />
      )}
    </div>
  );
}

interface BodyProps {
  period: PeriodName;
  slots: number | null;
  answer: SavingsAnswer;
}

function Body({ period, slots, answer }: BodyProps) {
  const { t } = useReader();
  return (
    <>
      {answer.missing.length > 0 && <Missing ids={answer.missing} />}
      {isEmpty(answer) ? (
        <div className="nothing card">
          <p>{t.savings.empty.words}</p>
          <Link href="/new" className="btn">
            {t.savings.empty.make}
          </Link>
        </div>
      ) : (
        <>
          <Days answer={answer} slots={slots} isOpen={period !== "last-month"} />
          <PerInstance answer={answer} />
          <Unknown answer={answer} />
          <How answer={answer} />
        </>
      )}
    </>
  );
}

function Headline({ period, answer, now }: { period: PeriodName; answer: SavingsAnswer; now: number }) {
  const { t, f } = useReader();
  const words = usePeriodWords(now);
  const { total } = answer;
  const saved = total.saved_micro_usd;
  if (isEmpty(answer))
    return (
      <div>
        <h2>{t.savings.empty.title(words.inside(period))}</h2>
      </div>
    );
  const [before, after] = (saved < 0 ? t.savings.lost : t.savings.kept)(words.inside(period));
  return (
    <div>
      <h2>
        {saved === 0 ? (
          t.savings.neither(words.inside(period))
        ) : (
          <>
            {before}
            <em className={saved < 0 ? "bad-t" : undefined}>{f.money(Math.abs(saved), true)}</em>
            {after}
          </>
        )}
      </h2>
      <p>
        {t.savings.paid(f.money(machinePaid(total.paid), true), f.money(storagePaid(total.paid), true))}{" "}
        {t.savings.alwaysOn(f.money(total.always_on_micro_usd, true))}
      </p>
    </div>
  );
}

function Picker({ period, now }: { period: PeriodName; now: number }) {
  const { t } = useReader();
  const words = usePeriodWords(now);
  const [, setSearch] = useSearchParams();
  const choose = (next: PeriodName) => setSearch(next === "month" ? {} : { period: next }, { replace: true });
  return (
    <div className="end seg" role="group" aria-label={t.savings.period.label}>
      {periods.map((one) => (
        <button key={one} type="button" aria-pressed={one === period} onClick={() => choose(one)}>
          {words.name(one)}
        </button>
      ))}
    </div>
  );
}

/** The names of the periods: months and years by their own. */
function usePeriodWords(now: number) {
  const { t, f, zone } = useReader();
  const monthOf = (period: PeriodName) => f.month(Date.parse(`${datesOf(period, zone, now).from}T12:00:00Z`));
  const year = datesOf("year", zone, now).from.slice(0, 4);
  return {
    name: (period: PeriodName) => {
      if (period === "year") return year;
      return period === "7d" || period === "90d"
        ? t.savings.period.days(Number.parseInt(period, 10))
        : capital(monthOf(period));
    },
    inside: (period: PeriodName) => {
      if (period === "year") return t.savings.inYear(year);
      return period === "7d" || period === "90d"
        ? t.savings.inDays(Number.parseInt(period, 10))
        : t.savings.inMonth(monthOf(period));
    },
  };
}

function Missing({ ids }: { ids: string[] }) {
  const { t } = useReader();
  const { data: rows } = useQuery(instancesQuery);
  const names = ids.map((id) => rows?.find((row) => row.id === id)?.name ?? id);
  return (
    <p className="note" role="status">
      {t.savings.missing(ids.length, names.join(", "))}
    </p>
  );
}

function isEmpty({ total }: { total: SavingsView }): boolean {
  return total.paid.total_micro_usd === 0 && total.always_on_micro_usd === 0 && !hasUnknown(total.unpriced);
}

function HeadlineBones() {
  return (
    <div className="headline-bones" aria-hidden="true">
      <i className="bone" />
      <i className="bone" />
    </div>
  );
}

/** As high as what comes. */
function Bones() {
  const { t } = useReader();
  return (
    <>
      <section className="card skeleton-card chart-bones" aria-label={t.common.loading}>
        <i className="bone" />
      </section>
      <div className="card skeleton-rows" aria-hidden="true">
        {Array.from({ length: 4 }, (_, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
          <div key={i} className="skeleton-row">
            <i style={{ width: "22%" }} />
            <i style={{ width: "14%" }} />
            <i style={{ width: "14%" }} />
            <i style={{ width: "18%" }} />
          </div>
        ))}
      </div>
    </>
  );
}
