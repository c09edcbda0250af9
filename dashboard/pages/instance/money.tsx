/** What it cost this month, and what it would have cost never asleep: from its ledger. */
import { useQuery } from "@tanstack/react-query";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { ledgerQuery, monthStart } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { capital } from "../../shell/meter.tsx";

export function MoneyCard({ view }: { view: InstanceView }) {
  const { t, f, zone } = useReader();
  const { data } = useQuery(ledgerQuery(view.id, monthStart(zone), zone));
  const words = t.instance.money;
  const total = data?.total;
  const paid = total?.paid;
  const machine = paid ? paid.gpu_micro_usd + paid.disk_micro_usd + paid.machine_micro_usd : 0;
  const traffic = paid ? paid.traffic_up_micro_usd + paid.traffic_down_micro_usd : 0;
  const storage = paid ? paid.storage_micro_usd + paid.operations_micro_usd : 0;
  const saved = total?.saved_micro_usd ?? 0;
  const value = (amount: number) => (total ? f.money(amount, true) : "–");
  return (
    <section className="card">
      <header>
        <h2>{words.title(capital(f.month(Date.now())))}</h2>
      </header>
      <div className="body">
        <dl className="kv">
          <dt>{words.gpu(total ? f.number(total.hours_awake, total.hours_awake < 10 ? 1 : 0) : "–")}</dt>
          <dd>{value(machine)}</dd>
          {traffic > 0 && (
            <>
              <dt>{words.traffic}</dt>
              <dd>{value(traffic)}</dd>
            </>
          )}
          <dt>{words.storage}</dt>
          <dd>{value(storage)}</dd>
          <dt>{words.always}</dt>
          <dd>{value(total?.always_on_micro_usd ?? 0)}</dd>
          <dt>{saved < 0 ? words.lost : words.saved}</dt>
          <dd>
            <b className={saved < 0 ? "bad-t" : "night-t"}>{value(Math.abs(saved))}</b>
          </dd>
        </dl>
        {total && total.unpriced.machine_seconds > 0 && (
          <p className="sub">{words.unpriced(f.duration(total.unpriced.machine_seconds * 1000))}</p>
        )}
        {paid && saved > 0 && (
          <div className="burn money-bar" aria-hidden="true">
            <i className="lamp-c" style={{ flex: paid.total_micro_usd }} />
            <i className="night-c" style={{ flex: saved }} />
          </div>
        )}
      </div>
    </section>
  );
}
