/** How long sleeping and waking takes, phase by phase, so that the slow one is seen. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { CycleView } from "../../../core/protocol/money.ts";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { eventsQuery, ledgerQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { type Course, lastSleep, lastWake, type PhaseName } from "./phases.ts";

const colours: Record<PhaseName, string> = {
  snapshot: "var(--move)",
  prove: "var(--night)",
  seal: "color-mix(in oklab, var(--sleep) 70%, var(--surface))",
  destroy: "color-mix(in oklab, var(--gone) 70%, var(--surface))",
  rent: "color-mix(in oklab, var(--sleep) 60%, var(--surface))",
  boot: "color-mix(in oklab, var(--gone) 70%, var(--surface))",
  restore: "var(--move)",
};

const monthsMs = 90 * 86_400_000;

export function Cycles({ view }: { view: InstanceView }) {
  const { t, zone } = useReader();
  const [isOpen, setIsOpen] = useState(false);
  const { data: events } = useQuery(eventsQuery(view.id));
  const from = new Date(Math.floor((Date.now() - monthsMs) / 86_400_000) * 86_400_000).toISOString();
  const { data: ledger } = useQuery(ledgerQuery(view.id, from, zone));
  const words = t.instance.cycles;
  const sleep = events ? lastSleep(events) : null;
  const wake = events ? lastWake(events) : null;
  const cycles = ledger?.cycles ?? [];
  return (
    <section className="card">
      <header>
        <h2>{words.title}</h2>
        {cycles.length > 0 && (
          <button type="button" className="plain link end" onClick={() => setIsOpen(true)}>
            {words.all(cycles.length)}
          </button>
        )}
      </header>
      <div className="body courses">
        {sleep && <CourseBar title={words.lastSleep} course={sleep} />}
        {sleep && <CycleCost cycle={cycles.at(-1)} />}
        {wake && <CourseBar title={words.lastWake} course={wake} />}
        {!sleep && !wake && <p className="sub">{words.none}</p>}
      </div>
      {isOpen && <CyclesDialog cycles={cycles} onClose={() => setIsOpen(false)} />}
    </section>
  );
}

function CycleCost({ cycle }: { cycle: CycleView | undefined }) {
  const { t, f } = useReader();
  if (!cycle) return null;
  return <p className="sub">{t.instance.cycles.costSleep(f.money(cycle.paid.total_micro_usd, true))}</p>;
}

function CourseBar({ title, course }: { title: string; course: Course }) {
  const { t, f } = useReader();
  const words = t.instance.cycles;
  const said = course.phases.map(({ name, ms }) => `${words[name]} ${f.duration(ms)}`).join(", ");
  return (
    <div className="ph">
      <div className="row between">
        <b>
          {title}{" "}
          <time className="muted" dateTime={course.at} title={f.full(course.at)}>
            {f.moment(course.at, Date.now())}
          </time>
        </b>
        <b>{f.duration(course.totalMs)}</b>
      </div>
      <div className="pbar" role="img" aria-label={`${title}: ${said}`}>
        {course.phases.map(({ name, ms }) => (
          <i
            key={name}
            style={{ flex: Math.max(ms, 1), "--c": colours[name] } as React.CSSProperties}
            title={`${words[name]} ${f.duration(ms)}`}
          />
        ))}
      </div>
      <ul className="plist" aria-hidden="true">
        {course.phases.map(({ name, ms }) => (
          <li key={name}>
            <i style={{ "--c": colours[name] } as React.CSSProperties} />
            <b>{words[name]}</b>
            <span>{ms < 1000 ? `${f.number(ms / 1000, 1)}\u00a0s` : f.duration(ms)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function CyclesDialog({ cycles, onClose }: { cycles: CycleView[]; onClose: () => void }) {
  const { t, f } = useReader();
  const words = t.instance.cycles;
  const now = Date.now();
  return (
    <Dialog title={words.table} isWide onClose={onClose}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it */}
      <div className="scrolls" tabIndex={0} role="group" aria-label={words.table}>
        <table className="tbl">
          <caption className="vh">{words.table}</caption>
          <thead>
            <tr>
              <th scope="col">{words.sleptAt}</th>
              <th scope="col" className="num">
                {words.asleepFor}
              </th>
              <th scope="col" className="num">
                {words.paid}
              </th>
              <th scope="col" className="num">
                {words.saved}
              </th>
            </tr>
          </thead>
          <tbody>
            {[...cycles].reverse().map((cycle) => (
              <tr key={cycle.slept_at} className="r">
                <td>{f.moment(cycle.slept_at, now)}</td>
                <td className="num">
                  {f.duration(
                    Date.parse(cycle.woken_at ?? cycle.ended_at ?? new Date(now).toISOString()) -
                      Date.parse(cycle.slept_at),
                  )}
                </td>
                <td className="num">{f.money(cycle.paid.total_micro_usd, true)}</td>
                <td className="num">
                  {cycle.net_micro_usd === null ? words.unpriced : f.money(cycle.net_micro_usd, true)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Dialog>
  );
}
