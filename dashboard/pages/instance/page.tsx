/** One instance: what it does now and why, what it costs, what is safe, and what happened. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense, useEffect, useRef, useState } from "react";
import { Link, useLocation, useSearchParams } from "wouter";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { Failure } from "../../api/failure.ts";
import { instanceQuery } from "../../api/queries.ts";
import { useWatch } from "../../api/watch.ts";
import { useReader } from "../../i18n/context.tsx";
import { notify } from "../../parts/notify.ts";
import { WakeDialog } from "../../parts/wake/dialog.tsx";
import { Boundary } from "../../ui/boundary.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { useVoice } from "../../ui/toast.tsx";
import { Stale, useTitle } from "../instances/page.tsx";
import { AsleepPanel } from "./asleep.tsx";
import { Cycles } from "./cycles.tsx";
import { EventsCard } from "./events.tsx";
import { Head } from "./head.tsx";
import { IdlePanel } from "./idle.tsx";
import { MoneyCard } from "./money.tsx";
import { SafeCard } from "./safe.tsx";
import { ServiceCard } from "./service.tsx";
import { SleepingPanel } from "./sleeping.tsx";
import { SnapshotsCard } from "./snapshots.tsx";
import { TroublePanel } from "./trouble.tsx";
import { WakingPanel } from "./waking.tsx";

const ConfigDialog = lazy(async () => ({ default: (await import("../config/dialog.tsx")).ConfigDialog }));
const UseChart = lazy(() => import("./chart.tsx"));

export function InstancePage({ id }: { id: string }) {
  const { data, error, dataUpdatedAt, refetch } = useQuery(instanceQuery(id));
  // What one may not see any more is not shown from before.
  const isGone = error instanceof Failure && (error.status === 404 || error.status === 403);
  const view = isGone ? undefined : data;
  const { t } = useReader();
  const isLive = useWatch(id);
  useTitle(view?.name ?? t.instances.title);
  useTellings(view);
  if (!view) {
    if (!error) return <Skeleton />;
    return (
      <div className="nothing card">
        <FailureNote error={error} onRetry={isGone ? undefined : refetch} />
        <Link href="/" className="btn">
          {t.common.toInstances}
        </Link>
      </div>
    );
  }
  return (
    <>
      {error && <Stale error={error} at={dataUpdatedAt} onRetry={refetch} />}
      <Whole view={view} isLive={isLive} isDim={error !== null} />
    </>
  );
}

function Whole({ view, isLive, isDim }: { view: InstanceView; isLive: boolean; isDim: boolean }) {
  const [search, setSearch] = useSearchParams();
  const [isWaking, setIsWaking] = useState(false);
  const [, go] = useLocation();
  const close = () => {
    const next = new URLSearchParams(search);
    next.delete("configure");
    setSearch(next, { replace: true });
  };
  const wake = () => setIsWaking(true);
  return (
    <div className={`whole${isDim ? " dimmed" : ""}`}>
      <Head view={view} isLive={isLive} onWake={wake} onConfigure={() => go(`/i/${view.id}?configure=idle`)} />
      <Panel view={view} onWake={wake} />
      <div className="cols">
        <div className="stack">
          <Boundary>
            <Suspense fallback={<section className="card skeleton-card tall" />}>
              <UseChart view={view} />
            </Suspense>
          </Boundary>
          <Cycles view={view} />
          <SnapshotsCard view={view} />
        </div>
        <div className="stack">
          <SafeCard view={view} />
          <MoneyCard view={view} />
          <ServiceCard view={view} />
          <EventsCard view={view} />
        </div>
      </div>
      {isWaking && <WakeDialog id={view.id} name={view.name} onClose={() => setIsWaking(false)} />}
      <Configure view={view} tab={search.get("configure")} onClose={close} />
    </div>
  );
}

function Panel({ view, onWake }: { view: InstanceView; onWake: () => void }) {
  switch (view.status) {
    case "running":
    case "idle":
      return <IdlePanel view={view} />;
    case "hibernating":
      return <SleepingPanel view={view} />;
    case "waking":
      return <WakingPanel view={view} />;
    case "hibernated":
    case "deleted":
      return <AsleepPanel view={view} onWake={onWake} />;
    case "unreachable":
    case "failed":
      return <TroublePanel view={view} onWake={onWake} />;
  }
}

/** The address says that it is open, and at which tab: a link leads straight there. */
function Configure({ view, tab, onClose }: { view: InstanceView; tab: string | null; onClose: () => void }) {
  const { t } = useReader();
  if (tab === null) return null;
  const frame = (words: ReactNode) => (
    <Dialog title={t.config.title(view.name)} onClose={onClose}>
      {words}
    </Dialog>
  );
  return (
    <Boundary frame={frame}>
      <Suspense>
        <ConfigDialog id={view.id} name={view.name} tab={tab} onClose={onClose} />
      </Suspense>
    </Boundary>
  );
}

/** What changed while one looks: said to those who listen, and shown to those who look elsewhere. */
function useTellings(view: InstanceView | undefined): void {
  const { t } = useReader();
  const voice = useVoice();
  const queries = useQueryClient();
  const before = useRef<InstanceView["status"] | null>(null);
  useEffect(() => {
    if (!view) return;
    const was = before.current;
    before.current = view.status;
    if (was === null || was === view.status) return;
    voice.announce(t.instances.announce(view.name, t.common.status[view.status]));
    // Its snapshots, its log and its money are others now.
    void queries.invalidateQueries({
      queryKey: ["instance", view.id],
      predicate: ({ queryKey }) => queryKey[2] !== "now",
    });
    void queries.invalidateQueries({ queryKey: ["money"] });
    const isReady = was === "waking" && (view.status === "running" || view.status === "idle");
    if (!isReady) return;
    voice.done(
      t.instance.waking.readyToast(view.name),
      view.machine?.ssh && <code className="mono">{view.machine.ssh}</code>,
    );
    if (document.visibilityState === "hidden") notify(t.instance.waking.readyToast(view.name), view.machine?.ssh ?? "");
  }, [view, t, voice, queries]);
}

function Skeleton() {
  const { t } = useReader();
  return (
    <div role="status" aria-label={t.common.loading} className="whole">
      <div className="bone" style={{ width: 260, height: 30 }} />
      <section className="card skeleton-card" style={{ minHeight: 260 }} />
      <div className="cols">
        <section className="card skeleton-card tall" />
        <section className="card skeleton-card" />
      </div>
    </div>
  );
}
