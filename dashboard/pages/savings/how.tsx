/** The rule in words, and beside it the real numbers of one instance's ledger, to the micro-dollar. */
import { useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import type { LedgerAnswer, SavingsAnswer } from "../../../core/protocol/money.ts";
import { useReader } from "../../i18n/context.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { plain } from "./amounts.ts";
import { Ledger } from "./ledger.tsx";
import { ledgerOfPeriodQuery } from "./query.ts";
import { sortRows } from "./sort.ts";
import { hasUnknown } from "./unknown.tsx";

export function How({ answer }: { answer: SavingsAnswer }) {
  const { t } = useReader();
  const words = t.savings.how;
  const field = useId();
  const [chosen, setChosen] = useState<string | null>(null);
  const rows = sortRows(answer.instances, { key: "saved", isDown: true });
  const id = (rows.find((row) => row.id === chosen) ?? rows[0])?.id;
  const last = hasUnknown(answer.total.unpriced) ? words.someUnknown : words.noneUnknown;
  return (
    <section className="card" aria-labelledby="how-title">
      <header>
        <h2 id="how-title">{words.title}</h2>
      </header>
      <div className="body how">
        <ol>
          {[words.paid, words.avoided, words.saved, words.alwaysOn].map(([name, rule]) => (
            <li key={name}>
              <span>
                <b>{name}</b>
                {rule}
              </span>
            </li>
          ))}
          <li>
            <span>
              <b>{words.unknown[0]}</b>
              {words.unknown[1]} {last}
            </span>
          </li>
        </ol>
        {id !== undefined && (
          <div className="numbers">
            <label htmlFor={field}>{words.instance}</label>
            <select id={field} className="field" value={id} onChange={(event) => setChosen(event.target.value)}>
              {rows.map((row) => (
                <option key={row.id} value={row.id}>
                  {row.name}
                </option>
              ))}
            </select>
            <Numbers id={id} answer={answer} />
          </div>
        )}
      </div>
    </section>
  );
}

function Numbers({ id, answer: { from, to, tz } }: { id: string; answer: SavingsAnswer }) {
  const { data, error, isPlaceholderData, refetch } = useQuery(ledgerOfPeriodQuery(id, from, to, tz));
  const isOther = data !== undefined && data.id !== id;
  if (!data || isOther)
    return error ? (
      <FailureNote error={error} onRetry={refetch} />
    ) : (
      <div className="formula bone-box" aria-busy="true" />
    );
  return (
    <>
      {error && <FailureNote error={error} onRetry={refetch} />}
      <div className={isPlaceholderData || error ? "dimmed" : undefined}>
        <Formula ledger={data} />
      </div>
      <Ledger ledger={data} />
    </>
  );
}

function Formula({ ledger }: { ledger: LedgerAnswer }) {
  const { t, f } = useReader();
  const words = t.savings.how;
  const { total, storage_measured_at: measuredAt } = ledger;
  const { paid } = total;
  const operations = paid.operations_micro_usd;
  const kinds: [word: string, microUsd: number][] = [
    [words.kinds.gpu, paid.gpu_micro_usd],
    [words.kinds.disk, paid.disk_micro_usd],
    [words.kinds.machine, paid.machine_micro_usd],
    [words.kinds.traffic_up, paid.traffic_up_micro_usd],
    [words.kinds.traffic_down, paid.traffic_down_micro_usd],
    [words.kinds.storage, paid.storage_micro_usd],
    [words.operations, operations],
  ];
  const isLost = total.saved_micro_usd < 0;
  const line = (sign: string, word: string, microUsd: number, isResult = false) => (
    <div key={sign + word} className={isResult ? "result" : undefined}>
      <dt>
        <span aria-hidden="true">{sign}</span>
        {word}
      </dt>
      <dd>{plain(f, microUsd / 1_000_000, 6)}</dd>
    </div>
  );
  return (
    <div className="formula">
      <dl>
        {line("", words.avoidedRow, total.avoided_micro_usd)}
        {line("−", words.sleepCost, total.avoided_micro_usd - total.saved_micro_usd)}
        {line("=", isLost ? words.lostRow : words.savedRow, total.saved_micro_usd, true)}
      </dl>
      <dl>
        {kinds
          .filter(([, microUsd]) => microUsd !== 0)
          .map(([word, microUsd], i) => line(i === 0 ? "" : "+", word, microUsd))}
        {line("=", words.paidRow, paid.total_micro_usd, true)}
        {line(isLost ? "−" : "+", isLost ? words.lostRow : words.savedRow, Math.abs(total.saved_micro_usd))}
        {line("=", words.alwaysRow, total.always_on_micro_usd, true)}
      </dl>
      <p>
        {words.exact} {measuredAt === null ? words.neverMeasured : words.measured(f.full(measuredAt))}
      </p>
    </div>
  );
}
