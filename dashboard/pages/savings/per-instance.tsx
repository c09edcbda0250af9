/** What each instance cost and kept. On a narrow page a row is a block, and stays a row for those who hear it. */
import { Download } from "lucide-react";
import { useId, useState } from "react";
import { Link } from "wouter";
import type { SavingsAnswer, SavingsView } from "../../../core/protocol/money.ts";
import { read, useReader, write } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icon.tsx";
import { digitsFor, hourDigits, machinePaid, plain, storagePaid, usd } from "./amounts.ts";
import { download, instancesCsv } from "./csv.ts";
import { parseRate } from "./rate.ts";
import { type Order, type SortKey, sortKeys, sortRows, turned } from "./sort.ts";

const rateName = "soneca.brl-rate";

export function PerInstance({ answer }: { answer: SavingsAnswer }) {
  const { t } = useReader();
  const words = t.savings.table;
  const [order, setOrder] = useState<Order>({ key: "saved", isDown: true });
  const [text, setText] = useState(() => read(rateName) ?? "");
  const rate = parseRate(text);
  const changeRate = (next: string) => {
    setText(next);
    const parsed = parseRate(next);
    if (parsed.kind !== "wrong") write(rateName, parsed.kind === "none" ? null : next.trim());
  };
  return (
    <section className="card folds" aria-labelledby="instances-title">
      <header>
        <h2 id="instances-title">{words.title}</h2>
        <div className="end row">
          <RateField text={text} isWrong={rate.kind === "wrong"} onChange={changeRate} />
          <Button
            aria-label={t.savings.csvInstances}
            onClick={() => download(`soneca-instances-${answer.days[0]?.date ?? ""}.csv`, instancesCsv(answer))}
          >
            <Icon of={Download} />
            {t.savings.csv}
          </Button>
        </div>
      </header>
      <OrderField order={order} onOrder={setOrder} />
      <Table answer={answer} order={order} rate={rate.kind === "rate" ? rate.value : null} onOrder={setOrder} />
      <p className="sub table-note">
        {words.note} {rate.kind === "rate" && words.noteBrl}
      </p>
    </section>
  );
}

function RateField({ text, isWrong, onChange }: { text: string; isWrong: boolean; onChange: (text: string) => void }) {
  const words = useReader().t.savings.table;
  const id = useId();
  return (
    <div className="rate">
      <label htmlFor={id}>{words.rate}</label>
      <input
        id={id}
        className="field"
        inputMode="decimal"
        autoComplete="off"
        placeholder={words.rateExample}
        value={text}
        aria-invalid={isWrong || undefined}
        aria-describedby={isWrong ? `${id}-wrong` : undefined}
        onChange={(event) => onChange(event.target.value)}
      />
      {isWrong && (
        <p id={`${id}-wrong`} className="wrong" role="alert">
          {words.rateWrong}
        </p>
      )}
    </div>
  );
}

/** Where the heads of the columns have no room. */
function OrderField({ order, onOrder }: { order: Order; onOrder: (order: Order) => void }) {
  const words = useReader().t.savings.table;
  const id = useId();
  return (
    <div className="order">
      <label htmlFor={id}>{words.order}</label>
      <select
        id={id}
        className="field"
        value={order.key}
        onChange={(event) => onOrder({ key: event.target.value as SortKey, isDown: event.target.value !== "name" })}
      >
        {sortKeys.map((key) => (
          <option key={key} value={key}>
            {words.columns[key]}
          </option>
        ))}
      </select>
    </div>
  );
}

interface TableProps {
  answer: SavingsAnswer;
  order: Order;
  rate: number | null;
  onOrder: (order: Order) => void;
}

function Table({ answer, order, rate, onOrder }: TableProps) {
  const words = useReader().t.savings.table;
  const digits = digitsFor(answer.instances.map((one) => one.always_on_micro_usd));
  const hours = hourDigits(answer.instances.flatMap((one) => [one.hours_awake, one.hours_hibernated]));
  return (
    <table className="tbl fold sav" role="table">
      <caption className="vh">{words.caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {sortKeys.map((key) => (
            <th
              key={key}
              role="columnheader"
              scope="col"
              className={key === "name" ? undefined : "num"}
              aria-sort={order.key === key ? (order.isDown ? "descending" : "ascending") : undefined}
            >
              <button type="button" className="sort" onClick={() => onOrder(turned(order, key))}>
                {words.columns[key]}
                <span aria-hidden="true">{order.key === key ? (order.isDown ? " ↓" : " ↑") : ""}</span>
              </button>
            </th>
          ))}
          {rate !== null &&
            [words.brlPaid, words.brlSaved].map((word) => (
              <th key={word} role="columnheader" scope="col" className="num">
                {word}
              </th>
            ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {sortRows(answer.instances, order).map((row) => (
          <tr key={row.id} role="row" className="r">
            <th role="rowheader" scope="row">
              <Link href={`/i/${row.id}`} className="nm">
                {row.name}
              </Link>
            </th>
            <Cells of={row} digits={digits} hours={hours} rate={rate} />
          </tr>
        ))}
      </tbody>
      <tfoot role="rowgroup">
        <tr role="row">
          <th role="rowheader" scope="row">
            {words.all}
          </th>
          <Cells of={answer.total} digits={digits} hours={hours} rate={rate} />
        </tr>
      </tfoot>
    </table>
  );
}

interface CellsProps {
  of: SavingsView;
  digits: number;
  hours: number;
  rate: number | null;
}

function Cells({ of, digits, hours, rate }: CellsProps) {
  const { t, f } = useReader();
  const { columns, brlPaid, brlSaved } = t.savings.table;
  const tone = of.saved_micro_usd < 0 ? "bad-t" : "night-t";
  const brl = (microUsd: number) => plain(f, (microUsd / 1_000_000) * (rate ?? 0), 2);
  const cells: [word: string, value: string, className?: string][] = [
    [columns.awake, f.number(of.hours_awake, hours)],
    [columns.asleep, f.number(of.hours_hibernated, hours)],
    [columns.machine, usd(f, machinePaid(of.paid), digits)],
    [columns.storage, usd(f, storagePaid(of.paid), digits)],
    [columns.always, usd(f, of.always_on_micro_usd, digits), "muted"],
    [columns.saved, usd(f, of.saved_micro_usd, digits), `strong ${tone}`],
    [columns.naps, f.number(of.hibernations)],
    [columns.wake, of.mean_wake_seconds === null ? "–" : f.duration(of.mean_wake_seconds * 1000)],
  ];
  if (rate !== null) {
    cells.push([brlPaid, brl(of.paid.total_micro_usd)]);
    cells.push([brlSaved, brl(of.saved_micro_usd), `strong ${tone}`]);
  }
  return cells.map(([word, value, className]) => (
    <td key={word} role="cell" className={`num ${className ?? ""}`}>
      <span className="lb" aria-hidden="true">
        {word}
      </span>
      {value}
    </td>
  ));
}
