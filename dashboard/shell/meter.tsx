/** What is spent now, was spent this month, and saved. The list and this count the same rows. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "wouter";
import { instancesQuery, monthQuery } from "../api/queries.ts";
import { useReader } from "../i18n/context.tsx";
import { burnOf } from "../parts/burn.ts";

export function Meter() {
  const { t, f, zone } = useReader();
  const { data: rows } = useQuery(instancesQuery);
  const { data: month } = useQuery(monthQuery(zone));
  const burn = rows && burnOf(rows);
  const monthName = f.month(Date.now());
  return (
    <div className="meter" role="group" aria-label={t.common.meter.label}>
      <Link href="/savings">
        <span>{t.common.meter.now}</span>
        <b>
          {burn && burn.microUsdPerHour >= 500 && <i className="live" />}
          {burn ? f.money(burn.microUsdPerHour, true) : "–"}
          <small>{t.common.perHour}</small>
        </b>
      </Link>
      <Link href="/savings">
        <span>{t.common.meter.month(capital(monthName))}</span>
        <b>{month ? f.money(month.total.paid.total_micro_usd) : "–"}</b>
      </Link>
      <Link href="/savings" className="saved">
        <span>{t.common.meter.saved}</span>
        <b>{month ? f.money(month.total.saved_micro_usd) : "–"}</b>
      </Link>
    </div>
  );
}

export function capital(text: string): string {
  return text.charAt(0).toLocaleUpperCase() + text.slice(1);
}
