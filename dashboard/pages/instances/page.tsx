/** All instances: what they cost now, why, and what happens next. */
import { useQuery } from "@tanstack/react-query";
import { Moon, Plus } from "lucide-react";
import { useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { Link, useLocation, useSearchParams } from "wouter";
import type { InstanceSummary } from "../../../core/protocol/views.ts";
import { instancesQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { zoneWords } from "../../i18n/format.ts";
import { useInstanceAction } from "../../parts/actions.ts";
import { useMay } from "../../parts/may.ts";
import { WakeDialog } from "../../parts/wake/dialog.tsx";
import { Button } from "../../ui/button.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useNow } from "../../ui/now.ts";
import { useVoice } from "../../ui/toast.tsx";
import { EmptyState } from "../new/empty.tsx";
import { Filters } from "./filters.tsx";
import { type Chip, chipOf, chips, type Group, groupsOf, matches, type SortKey, sortKeys } from "./groups.ts";
import { HibernateIdle } from "./hibernate-idle.tsx";
import { KeysHelp } from "./keys-help.tsx";
import { Kpis } from "./kpis.tsx";
import { Row } from "./row.tsx";

export function InstancesPage() {
  const { t } = useReader();
  const { data: rows, error, refetch } = useQuery(instancesQuery);
  useTitle(t.instances.title);
  useAnnouncements(rows);
  // The line that is shown once stays where it is, though its machine is in the list by now.
  const [isAdopting, setIsAdopting] = useState(false);
  if (rows?.length === 0 || isAdopting) return <EmptyState onAdopting={setIsAdopting} />;
  return (
    <>
      <Kpis rows={rows} />
      {rows ? <List rows={rows} /> : error ? <FailureNote error={error} onRetry={refetch} /> : <Skeleton />}
    </>
  );
}

function List({ rows }: { rows: InstanceSummary[] }) {
  const { t } = useReader();
  const may = useMay();
  const { error, dataUpdatedAt, refetch } = useQuery(instancesQuery);
  const [search, setSearch] = useSearchParams();
  const text = search.get("q") ?? "";
  const chip = chips.find((one) => one === search.get("status")) ?? null;
  const sort = sortKeys.find((one) => one === search.get("sort")) ?? "need";
  const change = (name: string, value: string | null) =>
    setSearch(
      (before) => {
        const after = new URLSearchParams(before);
        if (value) after.set(name, value);
        else after.delete(name);
        return after;
      },
      { replace: true },
    );
  const field = useRef<HTMLInputElement>(null);
  const [waking, setWaking] = useState<InstanceSummary | null>(null);
  const [isHibernatingIdle, setIsHibernatingIdle] = useState(false);
  // What is typed stands there at once; the list follows.
  const wanted = useDeferredValue(text);
  const shown = useMemo(
    () => rows.filter((row) => matches(row, wanted) && (chip === null || chipOf(row) === chip)),
    [rows, wanted, chip],
  );
  const groups = useMemo(() => groupsOf(shown, sort), [shown, sort]);
  const ordered = useMemo(() => groups.flatMap((group) => group.rows), [groups]);
  const keys = useListKeys(ordered, field, setWaking);
  const idle = rows.filter((row) => row.status === "idle" && row.glance?.actions.includes("hibernate"));
  return (
    <>
      <div className="list-tools">
        <Filters
          rows={rows}
          text={text}
          chip={chip}
          field={field}
          onText={(value) => change("q", value)}
          onChip={(value: Chip | null) => change("status", value)}
        />
        <div className="row end">
          {idle.length > 1 && (
            <Button onClick={() => setIsHibernatingIdle(true)}>
              <Icon of={Moon} />
              {t.instances.hibernateIdle(idle.length)}
            </Button>
          )}
          {may("createInstance") && (
            <Link href="/new" className="btn">
              <Icon of={Plus} />
              {t.instances.newOne}
            </Link>
          )}
        </div>
      </div>
      {error && <Stale error={error} at={dataUpdatedAt} onRetry={refetch} />}
      {shown.length === 0 ? (
        <div className="nothing card">
          <p>{t.instances.noMatch}</p>
          <Button onClick={() => setSearch(new URLSearchParams(), { replace: true })}>
            {t.instances.clearFilters}
          </Button>
        </div>
      ) : (
        <Table
          groups={groups}
          sort={sort}
          isDim={error !== null}
          isBehind={wanted !== text}
          current={keys.current}
          onSort={(key) => change("sort", key === "need" ? null : key)}
          onWake={setWaking}
        />
      )}
      <Foot at={dataUpdatedAt} onHelp={() => keys.setIsHelping(true)} />
      {waking && <WakeDialog id={waking.id} name={waking.name} onClose={() => setWaking(null)} />}
      {isHibernatingIdle && <HibernateIdle rows={idle} onClose={() => setIsHibernatingIdle(false)} />}
      {keys.isHelping && <KeysHelp onClose={() => keys.setIsHelping(false)} />}
    </>
  );
}

interface TableProps {
  groups: Group[];
  sort: SortKey;
  isDim: boolean;
  isBehind: boolean;
  current: string | null;
  onSort: (key: SortKey) => void;
  onWake: (row: InstanceSummary) => void;
}

function Table({ groups, sort, isDim, isBehind, current, onSort, onWake }: TableProps) {
  const { t } = useReader();
  const words = t.instances.columns;
  const head = (word: string, key: SortKey | null, className = "") => (
    <th
      role="columnheader"
      scope="col"
      className={className}
      aria-sort={key && sort === key ? (key === "name" ? "ascending" : "descending") : undefined}
    >
      {key ? (
        <button type="button" className="sort" onClick={() => onSort(sort === key ? "need" : key)}>
          {word}
          <span aria-hidden="true">{sort === key ? (key === "name" ? " ↑" : " ↓") : ""}</span>
        </button>
      ) : (
        word
      )}
    </th>
  );
  return (
    <section className={`card cards${isDim ? " dimmed" : ""}`} id="list" aria-busy={isBehind}>
      <div>
        {/* Laid out as cards on a narrow page, it stays a table for those who hear it. */}
        <table className="tbl" role="table">
          <caption className="vh">{t.instances.caption}</caption>
          <colgroup>
            <col className="w-name" />
            <col className="w-st" />
            <col className="w-gpu" />
            <col className="c-use w-use" />
            <col className="w-cost" />
            <col />
            <col className="c-snap w-snap" />
            <col className="w-act" />
          </colgroup>
          <thead role="rowgroup">
            <tr role="row">
              {head(words.instance, "name")}
              {head(words.status, null)}
              {head(words.gpu, null)}
              {head(words.use, "use", "c-use")}
              {head(words.cost, "cost", "num")}
              {head(words.next, null)}
              {head(words.snapshot, "snapshot", "c-snap")}
              <th role="columnheader" scope="col">
                <span className="vh">{words.actions}</span>
              </th>
            </tr>
          </thead>
          {groups.map((group) => (
            <tbody key={group.name} role="rowgroup">
              <GroupHead group={group} />
              {group.rows.map((row, i) => (
                <Row key={row.id} row={row} isCurrent={current === row.id} isFirst={i < 20} onWake={onWake} />
              ))}
            </tbody>
          ))}
        </table>
      </div>
    </section>
  );
}

function GroupHead({ group }: { group: Group }) {
  const { t, f } = useReader();
  const { name, rows, microUsdPerHour } = group;
  const words = t.instances.group;
  return (
    <tr role="row" className="grp">
      <th role="rowheader" colSpan={3} scope="colgroup">
        {words[name]} <em>{name === "paid" ? words.machines(rows.length) : words.storageOnly(rows.length)}</em>
      </th>
      <td role="cell" className="c-use" />
      <td role="cell" className="num">
        <b>{f.money(microUsdPerHour, true)}</b>
        <small>{t.common.perHour}</small>
      </td>
      <td role="cell" />
      <td role="cell" className="c-snap" />
      <td role="cell" />
    </tr>
  );
}

function Skeleton() {
  const { t } = useReader();
  return (
    <section className="card cards" id="list" aria-busy="true" aria-label={t.common.loading}>
      <div className="skeleton-rows">
        {Array.from({ length: 6 }, (_, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: they are all alike
          <div key={i} className="skeleton-row">
            <i style={{ width: "18%" }} />
            <i style={{ width: "12%" }} />
            <i style={{ width: "14%" }} />
            <i style={{ width: "16%" }} />
            <i style={{ width: "10%" }} />
          </div>
        ))}
      </div>
    </section>
  );
}

/** What is shown is the last that was told, with its age; asking goes on. */
export function Stale({ error, at, onRetry }: { error: unknown; at: number; onRetry: () => void }) {
  const { t, f } = useReader();
  const now = useNow(1_000);
  return (
    <div className="stale">
      <p>{t.common.showsFrom(f.duration(now - at))}</p>
      <FailureNote error={error} onRetry={onRetry} />
    </div>
  );
}

function Foot({ at, onHelp }: { at: number; onHelp: () => void }) {
  const { t, f, zone, language } = useReader();
  const now = useNow(1_000);
  const words = t.instances.keys;
  return (
    <div className="foot">
      <span>{t.instances.updated(f.duration(now - at))}</span>
      <span className="hide-s">
        <kbd>J</kbd> <kbd>K</kbd> {words.move} · <kbd>W</kbd> {words.wake} · <kbd>H</kbd> {words.hibernate} ·{" "}
        <button type="button" className="plain" onClick={onHelp}>
          <kbd>?</kbd> {words.help}
        </button>
      </span>
      <span className="end hide-s">{t.common.times(zoneWords(zone, language, now))}</span>
    </div>
  );
}

/** j and k move, Enter opens, w wakes, h hibernates, / searches, ? explains. Never while somebody types. */
function useListKeys(
  rows: readonly InstanceSummary[],
  field: React.RefObject<HTMLInputElement | null>,
  wake: (row: InstanceSummary) => void,
) {
  const [current, setCurrent] = useState<string | null>(null);
  const [isHelping, setIsHelping] = useState(false);
  const { t } = useReader();
  const [, go] = useLocation();
  const action = useInstanceAction(current ?? "");
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      const isTyping = target.closest("input, textarea, select, [contenteditable], dialog, [role=menu]") !== null;
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      const at = rows.findIndex((row) => row.id === current);
      const row = rows[at];
      const move = (by: number) => {
        const next = rows[Math.min(rows.length - 1, Math.max(0, at + by))];
        if (!next) return;
        setCurrent(next.id);
        const element = document.querySelector<HTMLElement>(`[data-id="${next.id}"] a`);
        element?.focus();
        element?.scrollIntoView({ block: "nearest" });
      };
      if (event.key === "j") move(1);
      else if (event.key === "k") move(at === -1 ? 1 : -1);
      else if (event.key === "Enter" && row && target === document.body) go(`/i/${row.id}`);
      else if (event.key === "w" && row?.glance?.actions.includes("wake")) wake(row);
      else if (event.key === "h" && row?.glance?.actions.includes("hibernate"))
        void action.hibernate(t.instances.doing.hibernate(row.name));
      else if (event.key === "/") field.current?.focus();
      else if (event.key === "?") setIsHelping(true);
      else return;
      event.preventDefault();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  });
  return { current, isHelping, setIsHelping };
}

/** A state that changed while one looks is said once. */
function useAnnouncements(rows: readonly InstanceSummary[] | undefined): void {
  const { t } = useReader();
  const voice = useVoice();
  const known = useRef(new Map<string, InstanceSummary["status"]>());
  useEffect(() => {
    for (const { id, name, status } of rows ?? []) {
      const before = known.current.get(id);
      if (before !== undefined && before !== status)
        voice.announce(t.instances.announce(name, t.common.status[status]));
      known.current.set(id, status);
    }
  }, [rows, t, voice]);
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Soneca`;
  }, [title]);
}
