/** The rows that the sums are made of, for whoever wants to add them up. */
import { useState } from "react";
import { bytesPerGb } from "../../../core/lifecycle/amount.ts";
import type { LedgerAnswer, LedgerRow } from "../../../core/protocol/money.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { plain } from "./amounts.ts";

const rowsAtOnce = 100;

export function Ledger({ ledger }: { ledger: LedgerAnswer }) {
  const { t, f } = useReader();
  const words = t.savings.how;
  const [isOpen, setIsOpen] = useState(false);
  const [shown, setShown] = useState(rowsAtOnce);
  const { rows } = ledger;
  if (rows.length === 0) return <p className="sub">{words.noRows}</p>;
  return (
    <details className="ledger" open={isOpen} onToggle={(event) => setIsOpen(event.currentTarget.open)}>
      <summary>{words.rows(f.number(rows.length))}</summary>
      {/* Made when they are asked for: a year has thousands. */}
      {isOpen && <Rows name={ledger.name} rows={rows.slice(0, shown)} />}
      {isOpen && rows.length > shown && (
        <Button onClick={() => setShown(shown + rowsAtOnce)}>
          {words.moreRows(f.number(Math.min(rowsAtOnce, rows.length - shown)))}
        </Button>
      )}
    </details>
  );
}

function Rows({ name, rows }: { name: string; rows: readonly LedgerRow[] }) {
  const { t, f } = useReader();
  const words = t.savings.how;
  const { columns } = words;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
    <ol className="ledger-rows" tabIndex={0} aria-label={words.ledgerCaption(name)}>
      {rows.map((row, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows have no name of their own, and only grow at their end
        <li key={i}>
          <b>
            {words.kinds[row.kind]}
            {row.epoch !== null && <em> {words.machineNo(f.number(row.epoch))}</em>}
          </b>
          <span className="num">
            <span className="vh">{columns.amount} </span>
            {row.micro_usd === null ? words.noPrice : plain(f, row.micro_usd / 1_000_000, 6)}
          </span>
          <small>
            <Span row={row} />
          </small>
          <small className="num">
            <Quantity row={row} />
          </small>
        </li>
      ))}
    </ol>
  );
}

function Span({ row }: { row: LedgerRow }) {
  const { t, f } = useReader();
  const words = t.savings.how;
  const moment = (at: string) => `${f.dayMonth(at)} ${f.clock(at)}`;
  const to =
    row.to === null ? words.now : f.dayMonth(row.to) === f.dayMonth(row.from) ? f.clock(row.to) : moment(row.to);
  return `${moment(row.from)} – ${to}`;
}

function Quantity({ row }: { row: LedgerRow }) {
  const { t, f } = useReader();
  const words = t.savings.how;
  const quantity = {
    seconds: () => f.duration(row.quantity * 1000),
    bytes: () => f.bytes(row.quantity),
    byte_seconds: () => words.gbHours(f.number(row.quantity / bytesPerGb / 3600, 3)),
    requests: () => words.requests(f.number(row.quantity)),
  }[row.unit]();
  const per = { hour: words.perHour, gb: words.perGb, gb_month: words.perGbMonth, million: words.perMillion }[
    row.price_per
  ];
  return row.price_micro_usd === null ? quantity : `${quantity} × ${per(f.money(row.price_micro_usd, true))}`;
}
