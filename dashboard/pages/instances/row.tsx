/** One instance of the list: what it is, what it costs, what happens next, and the one thing that one most likely wants. */
import { Clock, Copy, Moon, Settings2, Sun } from "lucide-react";
import { memo } from "react";
import { Link, useLocation } from "wouter";
import type { InstanceSummary } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { useInstanceAction } from "../../parts/actions.ts";
import { machineBurn, storageBurn } from "../../parts/burn.ts";
import { Countdown, Since } from "../../parts/countdown.tsx";
import { useMay } from "../../parts/may.ts";
import { shareOf, wakeTimes } from "../../parts/progress.ts";
import { Spark } from "../../parts/spark.tsx";
import { looks, StatusBadge } from "../../parts/status.tsx";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Menu } from "../../ui/menu.tsx";
import { useNear } from "../../ui/near.ts";
import { useNow } from "../../ui/now.ts";

interface Props {
  row: InstanceSummary;
  isCurrent: boolean;
  /** One of those that a page shows before it is scrolled. */
  isFirst: boolean;
  onWake: (row: InstanceSummary) => void;
}

/** Far from what is on the screen it is its name alone: to be found, heard and reached, and cheap by the hundred. */
export const Row = memo(function Row({ row, isCurrent, isFirst, onWake }: Props) {
  const { tone } = looks[row.status];
  const { ref, height } = useNear(isFirst);
  const isNear = height === undefined;
  return (
    <tr
      ref={ref}
      role="row"
      className={`r ${tone}${isCurrent ? " at" : ""}`}
      data-id={row.id}
      style={isNear ? undefined : { height }}
    >
      <td role="cell" className="c-name">
        <Link href={`/i/${row.id}`} className="nm">
          {row.name}
        </Link>
        {isNear && <div className="sub mono">{row.id}</div>}
      </td>
      {isNear && <Cells row={row} onWake={onWake} />}
    </tr>
  );
});

function Cells({ row, onWake }: Pick<Props, "row" | "onWake">) {
  const { tone } = looks[row.status];
  return (
    <>
      <td role="cell" className={`c-st ${tone}`}>
        <div className="line">
          <StatusBadge status={row.status} />
          <div className="sub">
            <StatusMore row={row} />
          </div>
        </div>
      </td>
      <td role="cell" className="c-gpu nw">
        <Gpu row={row} />
      </td>
      <td role="cell" className="c-use">
        <Use row={row} />
      </td>
      <td role="cell" className="c-cost num">
        <Cost row={row} />
      </td>
      <td role="cell" className="c-next">
        <Next row={row} />
      </td>
      <td role="cell" className="c-snap nw">
        <Snapshot row={row} />
      </td>
      <td role="cell" className="c-act">
        <Actions row={row} onWake={onWake} />
      </td>
    </>
  );
}

function StatusMore({ row }: { row: InstanceSummary }) {
  const { t, f } = useReader();
  const glance = row.glance;
  if (!glance) return null;
  switch (row.status) {
    case "running":
      if (glance.held_until) return t.instances.heldUntil(f.moment(glance.held_until, Date.now()));
      return glance.awake_because?.signal === "gpu" ? t.instances.gpuBusy : null;
    case "idle":
      return glance.next?.what === "hibernate" ? <CountdownWords to={glance.next.at} /> : null;
    case "hibernating":
    case "waking": {
      const share = glance.progress && shareOf(glance.progress);
      return share === null || !glance.progress ? (
        <Since at={glance.state_since} words={(duration) => duration} />
      ) : (
        `${f.percent(100 * share)}`
      );
    }
    case "unreachable":
      return <Since at={glance.last_report_at ?? glance.state_since} words={t.instances.noContactFor} />;
    case "failed":
      return glance.trouble?.code.replaceAll("_", " ") ?? null;
    default:
      return t.common.since(f.moment(glance.state_since, Date.now()));
  }
}

function CountdownWords({ to }: { to: string }) {
  const { t } = useReader();
  const [before, after] = t.instances.hibernatesIn("\u0000").split("\u0000");
  return (
    <>
      {before}
      <b>
        <Countdown to={to} />
      </b>
      {after}
    </>
  );
}

function Gpu({ row }: { row: InstanceSummary }) {
  const { t } = useReader();
  return (
    <>
      {row.gpu_type ? t.instance.gpus(row.glance?.gpu_count ?? 1, row.gpu_type) : t.instances.anyGpu}
      <div className="sub">{row.region ?? t.instances.anywhere}</div>
    </>
  );
}

function Use({ row }: { row: InstanceSummary }) {
  const { t, f } = useReader();
  const { glance } = row;
  if (row.status === "deleted") return <span className="sub">{t.instances.noMachine}</span>;
  if (row.status === "hibernated")
    return <span className="sub">{glance && <Since at={glance.state_since} words={t.instances.asleepFor} />}</span>;
  if (glance?.progress) {
    const share = shareOf(glance.progress);
    const { done_bytes, plain_bytes, parts_done, parts_total } = glance.progress;
    return (
      <>
        <div className="bar">
          <i style={{ width: `${100 * (share ?? 0)}%` }} />
        </div>
        <div className="sub">
          {plain_bytes > 0
            ? t.instance.sleeping.of(f.bytes(done_bytes), f.bytes(plain_bytes))
            : t.instance.sleeping.parts(f.number(parts_done), f.number(parts_total))}
        </div>
      </>
    );
  }
  const isSilent = row.status === "unreachable" || row.status === "waking";
  const now = row.gpu_utilization;
  return (
    <div className="use">
      <Spark use={glance?.use ?? []} tone={looks[row.status].tone} isSilent={isSilent} />
      <b className={isSilent || now === null ? "muted" : ""}>{isSilent || now === null ? "?" : f.percent(now)}</b>
    </div>
  );
}

function Cost({ row }: { row: InstanceSummary }) {
  const { t, f } = useReader();
  const { microUsdPerHour, unpriced } = machineBurn(row);
  const isRented = microUsdPerHour > 0 || unpriced > 0;
  const storage = storageBurn(row);
  const price = isRented ? microUsdPerHour : storage;
  return (
    <>
      <span className="price">
        {unpriced > 0 ? "?" : f.money(price, true)}
        <small>{t.common.perHour}</small>
      </span>
      <div className="sub">
        {unpriced > 0
          ? t.common.priceUnknown
          : isRented
            ? rentedWords(row, t)
            : storage > 0
              ? t.instances.storage
              : t.instances.nothingRented}
      </div>
    </>
  );
}

function rentedWords(row: InstanceSummary, t: ReturnType<typeof useReader>["t"]): string {
  if (row.status === "hibernating") return t.instances.untilDestroyed;
  return row.status === "running" || row.status === "idle" ? "\u00a0" : t.instances.stillRented;
}

function Next({ row }: { row: InstanceSummary }) {
  const { t, f } = useReader();
  const now = useNow(5_000);
  const [first, second, isBad] = nextWords(row, t, f, now);
  return (
    <>
      <span className={isBad ? "bad-t" : undefined}>{first}</span>
      <div className="sub">{second}</div>
    </>
  );
}

function nextWords(
  row: InstanceSummary,
  t: ReturnType<typeof useReader>["t"],
  f: ReturnType<typeof useReader>["f"],
  now: number,
): [string, string, boolean?] {
  const { glance } = row;
  if (!glance) return ["", ""];
  const { next } = glance;
  switch (row.status) {
    case "failed":
      return [
        t.instances.waitsForYou(f.duration(now - Date.parse(glance.state_since))),
        t.instances.nothingDestroyed,
        true,
      ];
    case "unreachable":
      return [t.common.status.unreachable, t.instances.itStillCosts];
    case "waking": {
      if (!glance.wake) return [t.instances.onTheWay, ""];
      const { usual } = wakeTimes(glance.wake, now);
      if (!usual) return [t.instances.onTheWay, ""];
      return [usual.leftMs > 0 ? t.instances.readyIn(f.duration(usual.leftMs)) : t.instances.readySoon, ""];
    }
    case "hibernating":
      return [t.instances.goingToSleep, ""];
    case "running":
    case "idle": {
      if (next?.what === "hibernate") return [t.instances.hibernatesAt(f.moment(next.at, now)), ""];
      const why = glance.awake_because;
      if (!why) return [t.instances.staysAwake, t.instance.idle.off];
      if (why.code === "lease" && why.until)
        return [t.instances.staysAwake, t.instances.heldUntil(f.moment(why.until, now))];
      if (why.signal === "gpu" && why.threshold !== null)
        return [t.instances.staysAwake, t.instances.whileGpu(f.percent(why.threshold))];
      if (why.until) return [t.instances.staysAwake, t.instance.why.until(f.moment(why.until, now))];
      const name = t.common.signal[why.signal as keyof typeof t.common.signal];
      return [t.instances.staysAwake, name ? t.instances.while(name) : t.instance.blocker.other];
    }
    default:
      if (next?.what === "wake") return [t.instances.wakesAt(f.moment(next.at, now)), ""];
      if (next?.what === "delete") return [t.instances.deletedAt(f.moment(next.at, now)), t.instances.snapshotStays];
      return [t.instances.wakesByYou, ""];
  }
}

function Snapshot({ row }: { row: InstanceSummary }) {
  const { t, f } = useReader();
  const snapshot = row.glance?.snapshot;
  if (!snapshot) return <span className="muted">{t.instances.noSnapshot}</span>;
  return (
    <>
      <time dateTime={snapshot.created_at} title={f.full(snapshot.created_at)}>
        {f.moment(snapshot.created_at, Date.now())}
      </time>
      <div className="sub">{snapshot.plain_bytes === null ? t.common.unknown : f.bytes(snapshot.plain_bytes)}</div>
    </>
  );
}

function Actions({ row, onWake }: { row: InstanceSummary; onWake: (row: InstanceSummary) => void }) {
  const { t } = useReader();
  const may = useMay();
  const [, go] = useLocation();
  const action = useInstanceAction(row.id);
  const words = t.common.action;
  const can = new Set(row.glance?.actions ?? []);
  const { isBusy } = action;
  const configure = () => go(`/i/${row.id}?configure=idle`);
  const primary = () => {
    switch (row.status) {
      case "hibernated":
        return can.has("wake") ? (
          <Button tone="lamp" isBusy={isBusy} onClick={() => onWake(row)}>
            <Icon of={Sun} />
            {words.wake}
          </Button>
        ) : null;
      case "deleted":
        return can.has("wake") ? (
          <Button isBusy={isBusy} onClick={() => onWake(row)}>
            {words.restore}
          </Button>
        ) : null;
      case "running":
        return can.has("hibernate") ? (
          <Button isBusy={isBusy} onClick={() => action.hibernate(t.instances.doing.hibernate(row.name))}>
            {words.hibernate}
          </Button>
        ) : null;
      case "idle":
        return can.has("keep_awake") ? (
          <Button isBusy={isBusy} onClick={() => action.keepAwake(60, t.instances.doing.keepAwake(row.name))}>
            <Icon of={Clock} />
            {words.keepAwake}
          </Button>
        ) : null;
      case "waking":
        return can.has("hibernate") ? (
          <Button isBusy={isBusy} onClick={() => action.hibernate(t.instances.doing.cancel(row.name))}>
            {words.cancel}
          </Button>
        ) : null;
      case "hibernating":
        return can.has("wake") ? (
          <Button isBusy={isBusy} onClick={() => action.wake(t.instances.doing.cancel(row.name))}>
            {words.cancel}
          </Button>
        ) : null;
      case "failed":
        return can.has("wake") ? (
          <Button tone="ink" isBusy={isBusy} onClick={() => action.wake()}>
            {words.retry}
          </Button>
        ) : null;
      case "unreachable":
        return (
          <Button isBusy={isBusy} onClick={() => go(`/i/${row.id}`)}>
            {words.checkNow}
          </Button>
        );
    }
  };
  return (
    <div className="act">
      {primary()}
      <Menu
        label={words.more(row.name)}
        items={[
          row.status === "idle" &&
            can.has("hibernate") && {
              label: words.hibernateNow,
              icon: Moon,
              onSelect: () => void action.hibernate(t.instances.doing.hibernate(row.name)),
            },
          row.status === "running" &&
            can.has("keep_awake") && {
              label: words.keepAwakeHour,
              icon: Clock,
              onSelect: () => void action.keepAwake(60, t.instances.doing.keepAwake(row.name)),
            },
          can.has("configure") && { label: words.configure, icon: Settings2, onSelect: configure },
          may("createInstance") &&
            row.glance?.snapshot != null && {
              label: words.clone,
              icon: Copy,
              onSelect: () => go(`/new?from=${row.id}`),
            },
        ]}
      />
    </div>
  );
}
