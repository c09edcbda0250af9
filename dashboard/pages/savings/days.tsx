/** The card of the days: the chart, or the same numbers as a table, and their file. */
import { Download } from "lucide-react";
import { useMemo, useState } from "react";
import type { SavingsAnswer } from "../../../core/protocol/money.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icon.tsx";
import { digitsFor, hourDigits, usd } from "./amounts.ts";
import { type Bar, barsOf, isPerWeek } from "./bars.ts";
import { Chart } from "./chart.tsx";
import { daysCsv, download } from "./csv.ts";

interface Props {
  answer: SavingsAnswer;
  slots: number | null;
  /** Whether its last day is today. */
  isOpen: boolean;
}

export function Days({ answer, slots, isOpen }: Props) {
  const { t } = useReader();
  const words = t.savings.chart;
  const [isTable, setIsTable] = useState(false);
  const bars = useMemo(() => barsOf(answer.days), [answer.days]);
  const perWeek = isPerWeek(answer.days);
  return (
    <section className="card" aria-labelledby="days-title">
      <header>
        <h2 id="days-title">{perWeek ? words.perWeek : words.perDay}</h2>
        {!isTable && <Legend />}
        <div className="end row">
          <button type="button" className="plain link" onClick={() => setIsTable(!isTable)}>
            {isTable ? t.common.chart : t.common.table}
          </button>
          <Button
            aria-label={t.savings.csvDays}
            onClick={() => download(`soneca-days-${answer.days[0]?.date ?? ""}.csv`, daysCsv(answer))}
          >
            <Icon of={Download} />
            {t.savings.csv}
          </Button>
        </div>
      </header>
      {isTable ? (
        <DaysTable bars={bars} isPerWeek={perWeek} />
      ) : (
        <Chart bars={bars} slots={Math.max(slots ?? 0, bars.length)} isPerWeek={perWeek} isOpen={isOpen} />
      )}
    </section>
  );
}

function Legend() {
  const words = useReader().t.savings.chart;
  return (
    <div className="legend" aria-hidden="true">
      <span>
        <i className="lamp-c" />
        {words.machines}
      </span>
      <span>
        <i className="ln sleep-c" />
        {words.storage}
      </span>
      <span>
        <i className="nh" />
        {words.saved}
      </span>
      <span>
        <i className="dash" />
        {words.alwaysOn}
      </span>
    </div>
  );
}

function DaysTable({ bars, isPerWeek }: { bars: readonly Bar[]; isPerWeek: boolean }) {
  const { t, f } = useReader();
  const words = t.savings.chart;
  const columns = t.savings.table.columns;
  const digits = digitsFor(bars.map((bar) => bar.alwaysOn));
  const hours = hourDigits(bars.flatMap((bar) => [bar.hoursAwake, bar.hoursAsleep]));
  const head = (word: string, isWide = false) => (
    <th scope="col" className={`num${isWide ? " wide-only" : ""}`}>
      {word}
    </th>
  );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
    <div className="days-table" tabIndex={0} role="group" aria-label={isPerWeek ? words.captionWeek : words.caption}>
      <table className="tbl">
        <caption className="vh">{isPerWeek ? words.captionWeek : words.caption}</caption>
        <thead>
          <tr>
            <th scope="col">{isPerWeek ? words.week : words.date}</th>
            {head(columns.awake, true)}
            {head(columns.asleep, true)}
            {head(columns.machine)}
            {head(columns.storage, true)}
            {head(columns.saved)}
            {head(columns.always)}
          </tr>
        </thead>
        <tbody>
          {[...bars].reverse().map((bar) => (
            <tr key={bar.date} className="r">
              <th scope="row">{f.dayMonth(bar.from)}</th>
              <td className="num wide-only">{f.number(bar.hoursAwake, hours)}</td>
              <td className="num wide-only">{f.number(bar.hoursAsleep, hours)}</td>
              <td className="num">{usd(f, bar.machine, digits)}</td>
              <td className="num wide-only">{usd(f, bar.storage, digits)}</td>
              <td className="num night-t">{usd(f, bar.saved, digits)}</td>
              <td className="num muted">{usd(f, bar.alwaysOn, digits)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
