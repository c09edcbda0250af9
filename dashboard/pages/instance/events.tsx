/** What happened to it: the last few beside the rest, all of them in a dialog with filter and export. */
import { useQuery } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { useState } from "react";
import type { EventView, InstanceView } from "../../../core/protocol/views.ts";
import { eventsQuery, useMe } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { saveFile } from "../../parts/save-file.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { eventIcon } from "./event-icons.ts";
import { actorTitle, costEffect, eventDetail, eventTitle } from "./event-words.ts";

const shownAtFirst = 9;
const pageSize = 100;

export function EventsCard({ view }: { view: InstanceView }) {
  const { t } = useReader();
  const { data, error, refetch } = useQuery(eventsQuery(view.id));
  const [isOpen, setIsOpen] = useState(false);
  return (
    <section className="card">
      <header>
        <h2>{t.events.title}</h2>
        {data && data.length > shownAtFirst && (
          <button type="button" className="plain link end" onClick={() => setIsOpen(true)}>
            {t.events.all}
          </button>
        )}
      </header>
      <div className="body">
        {error && !data && <FailureNote error={error} onRetry={refetch} />}
        {data?.length === 0 && <p className="sub">{t.events.empty}</p>}
        <ol>
          {data?.slice(0, shownAtFirst).map((event) => (
            <Row key={event.seq} event={event} />
          ))}
        </ol>
      </div>
      {isOpen && data && <EventsDialog name={view.name} events={data} onClose={() => setIsOpen(false)} />}
    </section>
  );
}

function Row({ event }: { event: EventView }) {
  const { t, f } = useReader();
  const me = useMe();
  const { icon, tone } = eventIcon(event.event_type);
  return (
    <li className={`ev ${tone}`}>
      <time dateTime={event.timestamp} title={f.full(event.timestamp)}>
        {f.moment(event.timestamp, Date.now())}
      </time>
      <Icon of={icon} />
      <span>
        {eventTitle(event, t)}{" "}
        <em>
          {actorTitle(event.actor, event.actor_name, me, t)}
          {eventDetail(event, { t, f }) && `, ${eventDetail(event, { t, f })}`}
        </em>
      </span>
      <span className="c">{costEffect(event, f, t)}</span>
    </li>
  );
}

function EventsDialog({ name, events, onClose }: { name: string; events: EventView[]; onClose: () => void }) {
  const { t, f } = useReader();
  const me = useMe();
  const [type, setType] = useState("");
  const [shown, setShown] = useState(pageSize);
  const types = [...new Set(events.map((one) => one.event_type))].sort();
  const matching = events.filter((one) => type === "" || one.event_type === type);
  return (
    <Dialog title={`${t.events.title}: ${name}`} isWide onClose={onClose}>
      <div className="sec event-tools">
        <label>
          <span>{t.events.filter}</span>
          <select className="field" value={type} onChange={(event) => setType(event.target.value)}>
            <option value="">{t.events.everything}</option>
            {types.map((one) => (
              <option key={one} value={one}>
                {t.events.types[one as keyof typeof t.events.types] ?? one}
              </option>
            ))}
          </select>
        </label>
        <Button onClick={() => saveFile(`${name}-events.csv`, "text/csv", csvOf(matching))}>
          <Icon of={Download} />
          {t.events.exportCsv}
        </Button>
        <Button onClick={() => saveFile(`${name}-events.json`, "application/json", JSON.stringify(matching, null, 2))}>
          <Icon of={Download} />
          {t.events.exportJson}
        </Button>
      </div>
      <ol className="sec event-list">
        {matching.length === 0 && <li className="sub">{t.events.noMatch}</li>}
        {matching.slice(0, shown).map((event) => (
          <li key={event.seq}>
            <details>
              <summary className={`ev ${eventIcon(event.event_type).tone}`}>
                <time dateTime={event.timestamp}>{f.full(event.timestamp)}</time>
                <Icon of={eventIcon(event.event_type).icon} />
                <span>
                  {eventTitle(event, t)}{" "}
                  <em>
                    {actorTitle(event.actor, event.actor_name, me, t)} {eventDetail(event, { t, f })}
                  </em>
                </span>
                <span className="c">{costEffect(event, f, t)}</span>
              </summary>
              <pre className="formula">{JSON.stringify(event, null, 2)}</pre>
            </details>
          </li>
        ))}
        {matching.length > shown && (
          <li>
            <Button onClick={() => setShown(shown + pageSize)}>
              {t.events.more(Math.min(pageSize, matching.length - shown))}
            </Button>
          </li>
        )}
      </ol>
    </Dialog>
  );
}

function csvOf(events: readonly EventView[]): string {
  const columns = [
    "seq",
    "timestamp",
    "event_type",
    "actor",
    "actor_name",
    "gpu_utilization",
    "snapshot_id",
    "reason",
    "params",
  ] as const;
  const cell = (value: unknown) => {
    const text =
      value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = events.map((event) => columns.map((column) => cell(event[column])).join(","));
  return `${[columns.join(","), ...rows].join("\r\n")}\r\n`;
}
