/** Four answers at a glance: how many, how much now, how much this month, how much saved. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import type { InstanceSummary } from "../../../core/protocol/views.ts";
import { monthQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { burnOf, machineBurn } from "../../parts/burn.ts";
import { looks } from "../../parts/status.tsx";
import { capital } from "../../shell/meter.tsx";
import { groupOf } from "./groups.ts";

export function Kpis({ rows }: { rows: readonly InstanceSummary[] | undefined }) {
  const { t } = useReader();
  return (
    <section className="kpis" aria-label={t.instances.glance}>
      <Awake rows={rows} />
      <Burning rows={rows} />
      <Month />
      <Saved />
    </section>
  );
}

function Awake({ rows }: { rows: readonly InstanceSummary[] | undefined }) {
  const { t, f } = useReader();
  const alive = rows?.filter((row) => row.status !== "deleted") ?? [];
  const awake = alive.filter((row) => groupOf(row) === "paid");
  const needy = alive.filter((row) => row.status === "failed" || row.status === "unreachable").length;
  const words = t.instances.awakeOf(f.number(awake.length), f.number(alive.length));
  return (
    <a className="kpi" href="#list">
      <span className="l">{t.instances.awake}</span>
      <span className="v">
        {rows ? words.awake : "–"} <small>{rows ? words.of : ""}</small>
      </span>
      <span className="s">{rows ? (needy > 0 ? t.instances.needLook(needy) : t.instances.allFine) : "\u00a0"}</span>
      <span className="g pips" aria-hidden="true">
        {[...awake, ...alive.filter((row) => groupOf(row) !== "paid")].slice(0, 24).map((row) => (
          <i key={row.id} className={`${looks[row.status].tone}${groupOf(row) === "paid" ? "" : " off"}`} />
        ))}
      </span>
    </a>
  );
}

function Burning({ rows }: { rows: readonly InstanceSummary[] | undefined }) {
  const { t, f } = useReader();
  const paid = (rows ?? [])
    .filter((row) => machineBurn(row).microUsdPerHour > 0)
    .sort((a, b) => machineBurn(b).microUsdPerHour - machineBurn(a).microUsdPerHour);
  const burn = burnOf(rows ?? []);
  const most = paid[0];
  const share = most ? machineBurn(most).microUsdPerHour / Math.max(1, burn.microUsdPerHour) : 0;
  const words = !most
    ? t.instances.burnNothing
    : (most.status === "idle" ? t.instances.burnShareIdle : t.instances.burnShare)(most.name, f.percent(100 * share));
  const parts = paid.map((row) => `${row.name} ${f.perHour(machineBurn(row).microUsdPerHour)}`).join(", ");
  return (
    <Link className="kpi" href="/savings">
      <span className="l">{t.instances.burning}</span>
      <span className="v">
        {rows ? f.money(burn.microUsdPerHour, true) : "–"}
        <small>{t.common.perHour}</small>
      </span>
      <span className="s">{burn.unpriced > 0 ? t.instances.burnUnpriced(burn.unpriced) : rows ? words : "\u00a0"}</span>
      <span className="g">
        {paid.length > 0 && (
          <span className="burn" role="img" aria-label={`${t.instances.burnParts}: ${parts}`}>
            {paid.slice(0, 20).map((row) => (
              <i
                key={row.id}
                className={looks[row.status].tone}
                style={{ flex: machineBurn(row).microUsdPerHour }}
                title={`${row.name} ${f.perHour(machineBurn(row).microUsdPerHour)}`}
              />
            ))}
          </span>
        )}
      </span>
    </Link>
  );
}

function Month() {
  const { t, f, zone } = useReader();
  const { data } = useQuery(monthQuery(zone));
  const days = data?.days ?? [];
  const most = Math.max(1, ...days.map((day) => day.paid.total_micro_usd));
  const today = days.at(-1);
  return (
    <Link className="kpi" href="/savings">
      <span className="l">{t.instances.monthSoFar(capital(f.month(Date.now())))}</span>
      <span className="v">{data ? f.money(data.total.paid.total_micro_usd) : "–"}</span>
      <span className="s">
        {data && data.missing.length > 0
          ? t.instances.missing(data.missing.length)
          : today
            ? t.instances.today(f.money(today.paid.total_micro_usd))
            : "\u00a0"}
      </span>
      <span className="g">
        <svg className="days-spark" viewBox={`0 0 ${Math.max(1, days.length) * 8} 26`} aria-hidden="true">
          {days.map((day, i) => {
            const height = Math.max(1, (day.paid.total_micro_usd / most) * 25);
            const isToday = i === days.length - 1;
            return (
              <rect
                key={day.date}
                x={i * 8}
                y={26 - height}
                width="6"
                height={height}
                rx="1.5"
                fill="var(--lamp)"
                opacity={isToday ? 1 : 0.42}
              />
            );
          })}
        </svg>
      </span>
    </Link>
  );
}

function Saved() {
  const { t, f, zone } = useReader();
  const { data } = useQuery(monthQuery(zone));
  const saved = data?.total.saved_micro_usd ?? 0;
  const always = data?.total.always_on_micro_usd ?? 0;
  const share = always > 0 ? saved / always : 0;
  return (
    <Link className="kpi" href="/savings">
      <span className="l">{t.instances.savedMonth}</span>
      <span className="v night-t">{data ? f.money(saved) : "–"}</span>
      <span className="s">
        {!data || always === 0
          ? "\u00a0"
          : share >= 0
            ? t.instances.savedShare(f.percent(100 * share))
            : t.instances.lostShare}
      </span>
      <span className="g">
        {share > 0 && (
          <span className="burn" aria-hidden="true">
            <i style={{ flex: 1 - Math.min(1, share) }} className="lamp-c" />
            <i style={{ flex: Math.min(1, share) }} className="night-c" />
          </span>
        )}
      </span>
    </Link>
  );
}
