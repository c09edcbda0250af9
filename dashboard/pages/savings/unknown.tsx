/** What nobody told the price of, apart from every sum. */
import type { SavingsAnswer, UnpricedView } from "../../../core/protocol/money.ts";
import { useReader } from "../../i18n/context.tsx";

export function hasUnknown(unpriced: UnpricedView): boolean {
  return Object.values(unpriced).some((value) => value > 0);
}

export function Unknown({ answer }: { answer: SavingsAnswer }) {
  const { t, f } = useReader();
  const words = t.savings.unknown;
  const partsOf = ({ unpriced, storage_measured_at }: SavingsAnswer["instances"][number]) =>
    [
      unpriced.machine_seconds > 0 && words.machine(f.duration(1000 * unpriced.machine_seconds)),
      unpriced.asleep_seconds > 0 && words.asleep(f.duration(1000 * unpriced.asleep_seconds)),
      unpriced.traffic_up_bytes > 0 && words.up(f.bytes(unpriced.traffic_up_bytes)),
      unpriced.traffic_down_bytes > 0 && words.down(f.bytes(unpriced.traffic_down_bytes)),
      storage_measured_at === null && words.storage,
    ].filter((part) => part !== false);
  // Without a sleep nothing is in the store.
  const rows = answer.instances.filter(
    (one) => hasUnknown(one.unpriced) || (one.storage_measured_at === null && one.hibernations > 0),
  );
  if (rows.length === 0) return null;
  return (
    <section className="card">
      <header>
        <h2>{words.title}</h2>
      </header>
      <div className="body unknown">
        <p className="sub">{words.words}</p>
        <dl>
          {rows.map((row) => (
            <div key={row.id}>
              <dt>{row.name}</dt>
              <dd>{partsOf(row).join(", ")}</dd>
            </div>
          ))}
        </dl>
      </div>
    </section>
  );
}
