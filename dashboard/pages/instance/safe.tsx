/** What would be lost if the machine vanished at this moment. */
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { useNow } from "../../ui/now.ts";

const working: readonly InstanceView["status"][] = ["running", "idle", "hibernating", "unreachable"];

export function SafeCard({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const now = useNow(1_000);
  const words = t.instance.safe;
  const { recovery_point: point, checkpoints, storage, snapshot } = view;
  if (!working.includes(view.status) || view.state === "destroying") return null;
  const kind = point && (point.kind === "checkpoint" ? words.checkpoint : words.snapshot);
  return (
    <section className="card">
      <header>
        <h2>{words.title}</h2>
      </header>
      <div className="body">
        <p className="big">{point ? words.lose(f.duration(now - Date.parse(point.at))) : words.loseAll}</p>
        <p className="sub safe-last">
          {point && kind && words.last(f.moment(point.at, now), kind)}
          {point && point.torn > 0 && <span title={point.torn_paths.join(", ")}> {words.torn(point.torn)}.</span>}
          {checkpoints.failure && (
            <span className="bad-t">
              {" "}
              {words.failure}: {checkpoints.failure.message}
            </span>
          )}
        </p>
        <dl className="kv">
          {snapshot?.stored_bytes != null && snapshot.plain_bytes != null && (
            <>
              <dt>{words.stored}</dt>
              <dd>{words.storedOf(f.bytes(snapshot.stored_bytes), f.bytes(snapshot.plain_bytes))}</dd>
            </>
          )}
          <dt>{words.next}</dt>
          <dd>
            {checkpoints.running_since
              ? words.nextNow
              : checkpoints.next_at
                ? words.nextAt(f.moment(checkpoints.next_at, now))
                : words.nextOff}
          </dd>
          {storage && (
            <>
              <dt>{words.storage}</dt>
              <dd>{words.perMonth(f.money(storage.micro_usd_per_month, true))}</dd>
            </>
          )}
        </dl>
      </div>
    </section>
  );
}
