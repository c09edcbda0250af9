/** What the store holds of it: when, how much, whether it is proved; and what can be done with each. */

import { useQuery } from "@tanstack/react-query";
import { FolderOpen, GitCompare, RotateCcw, ShieldCheck, SquareStack, TriangleAlert } from "lucide-react";
import { useState } from "react";
import { Link, useLocation } from "wouter";
import type { InstanceView, SnapshotView } from "../../../core/protocol/views.ts";
import { snapshotsQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useMay } from "../../parts/may.ts";
import { WakeDialog } from "../../parts/wake/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Menu } from "../../ui/menu.tsx";

const shownAtFirst = 5;

export function SnapshotsCard({ view }: { view: InstanceView }) {
  const { t } = useReader();
  const { data, error, refetch } = useQuery(snapshotsQuery(view.id));
  const [isAll, setIsAll] = useState(false);
  const [back, setBack] = useState<SnapshotView | null>(null);
  const words = t.instance.snapshots;
  const shown = isAll ? data : data?.slice(0, shownAtFirst);
  const newest = data?.[0];
  return (
    <section className="card clips">
      <header className="table-head">
        <h2>{words.title}</h2>
        {newest && (
          <Link className="link end" href={`/i/${view.id}/files/${newest.seq}`}>
            {words.browse}
          </Link>
        )}
      </header>
      {error && !data && (
        <div className="body">
          <FailureNote error={error} onRetry={refetch} />
        </div>
      )}
      {data?.length === 0 && (
        <div className="body">
          <p className="sub">{words.empty}</p>
        </div>
      )}
      {shown && shown.length > 0 && <Table rows={shown} all={data!} view={view} onBack={setBack} />}
      {data && data.length > shownAtFirst && !isAll && (
        <div className="body">
          <button type="button" className="plain link" onClick={() => setIsAll(true)}>
            {words.showAll(data.length)}
          </button>
        </div>
      )}
      {back && <WakeDialog id={view.id} name={view.name} snapshot={back} onClose={() => setBack(null)} />}
    </section>
  );
}

interface TableProps {
  rows: SnapshotView[];
  all: SnapshotView[];
  view: InstanceView;
  onBack: (snapshot: SnapshotView) => void;
}

function Table({ rows, all, view, onBack }: TableProps) {
  const { t, f } = useReader();
  const words = t.instance.snapshots;
  const now = Date.now();
  return (
    <table className="tbl">
      <caption className="vh">{words.title}</caption>
      <thead>
        <tr>
          <th scope="col">{words.made}</th>
          <th scope="col" className="num hide-s">
            {words.raw}
          </th>
          <th scope="col" className="num">
            {words.stored}
          </th>
          <th scope="col" className="num hide-s">
            {words.added}
          </th>
          <th scope="col" className="hide-s">
            {words.proved}
          </th>
          <th scope="col">
            <span className="vh">{words.actions}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.seq} className="r">
            <td>
              <b className="made">
                <time dateTime={row.created_at} title={f.full(row.created_at)}>
                  {f.moment(row.created_at, now)}
                </time>
              </b>{" "}
              <span className="muted">
                {row.kind ? words.kind[row.kind] : ""} {row.seq}
              </span>
              {row.is_current && <div className="sub">{words.current}</div>}
            </td>
            <td className="num hide-s">{sizeOf(row.plain_bytes)}</td>
            <td className="num">
              {sizeOf(row.stored_bytes)}
              {row.plain_bytes && row.stored_bytes ? (
                <div className="sub">{f.ratio(row.plain_bytes / row.stored_bytes)}</div>
              ) : null}
            </td>
            <td className="num hide-s">{sizeOf(row.new_stored_bytes)}</td>
            <td className="nw hide-s">
              <Proof row={row} now={now} />
            </td>
            <td className="c-act">
              <Actions row={row} all={all} view={view} onBack={onBack} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );

  function sizeOf(value: number | null) {
    return value === null ? <span className="muted">–</span> : f.bytes(value);
  }
}

function Proof({ row, now }: { row: SnapshotView; now: number }) {
  const { t, f } = useReader();
  const words = t.instance.snapshots;
  if (row.damaged)
    return (
      <span className="proof bad-t" title={row.damaged.message}>
        <Icon of={TriangleAlert} />
        {words.damaged}
      </span>
    );
  if (!row.proof) return <span className="muted">{words.notProved}</span>;
  return (
    <span className="proof run-t" title={f.full(row.proof.at)}>
      <Icon of={ShieldCheck} />
      {f.moment(row.proof.at, now)}
    </span>
  );
}

function Actions({ row, all, view, onBack }: Omit<TableProps, "rows"> & { row: SnapshotView }) {
  const may = useMay();
  const { t, f } = useReader();
  const [, go] = useLocation();
  const words = t.instance.snapshots;
  const older = all.find((one) => one.seq < row.seq);
  const isAsleep = view.status === "hibernated" || view.status === "deleted";
  return (
    <Menu
      label={t.common.action.more(`${words.title} ${row.seq}, ${f.moment(row.created_at, Date.now())}`)}
      items={[
        { label: words.browse, icon: FolderOpen, onSelect: () => go(`/i/${view.id}/files/${row.seq}`) },
        older !== undefined && {
          label: `${words.compare}: ${row.seq} – ${older.seq}`,
          icon: GitCompare,
          onSelect: () => go(`/i/${view.id}/files/${row.seq}?since=${older.seq}`),
        },
        isAsleep &&
          !row.is_current &&
          view.actions.includes("wake") && { label: words.back, icon: RotateCcw, onSelect: () => onBack(row) },
        may("createInstance") && {
          label: words.clone,
          icon: SquareStack,
          onSelect: () => go(`/new?from=${view.id}&snapshot=${row.seq}`),
        },
      ]}
    />
  );
}
