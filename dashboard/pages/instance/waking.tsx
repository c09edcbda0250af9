/** A wake under way: the sun stands above the end of the bar and rises with it. The bar ends at P95 of earlier wakes. */
import { CloudDownload, Power, Search } from "lucide-react";
import { useState } from "react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { notifyPermission } from "../../parts/notify.ts";
import { shareOf, wakeTimes } from "../../parts/progress.ts";
import { useRate } from "../../parts/rate.ts";
import { Button } from "../../ui/button.tsx";
import { useNow } from "../../ui/now.ts";
import { ProgressBar } from "../../ui/progress.tsx";
import { Phase } from "./sleeping.tsx";

type Wake = NonNullable<InstanceView["wake"]>;

export function WakingPanel({ view }: { view: InstanceView }) {
  const { t } = useReader();
  const { wake } = view;
  return (
    <>
      <section className="dawn" aria-label={t.common.status.waking}>
        {wake && <Sky view={view} wake={wake} />}
        {wake && <Phases view={view} wake={wake} />}
        {view.rival_machines.length > 0 && (
          <p className="panel-foot">{t.instance.waking.rival(view.rival_machines.length)}</p>
        )}
      </section>
      <div className="cols halves">
        <WhenReady view={view} />
        <section className="card">
          <header>
            <h2>{t.instance.waking.fails}</h2>
          </header>
          <div className="body ink2">
            <p>{t.instance.waking.failsWords}</p>
            <KeepTrying view={view} />
          </div>
        </section>
      </div>
    </>
  );
}

function KeepTrying({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const { keep_trying } = view;
  if (!keep_trying) return null;
  return <p>{t.instance.waking.keepTrying(f.moment(keep_trying.until, Date.now()))}</p>;
}

function Sky({ view, wake }: { view: InstanceView; wake: Wake }) {
  const { t, f } = useReader();
  const now = useNow(500);
  const words = t.instance.waking;
  const { inMs, usual } = wakeTimes(wake, now);
  // Without earlier wakes there is no end that could be named: the bar shows what is restored, else nothing.
  const share = usual ? Math.min(1, inMs / usual.p95Ms) : view.progress ? (shareOf(view.progress) ?? 0) : 0;
  const says = usual && usual.leftMs > 0 ? f.countdown(usual.leftMs) : usual ? words.almost : null;
  return (
    <>
      <div className="sky">
        <i className="sun" style={{ "--x": share, "--y": 0.15 + 0.75 * share } as React.CSSProperties} />
        <div className="say">
          <h2>{words.title(f.duration(inMs))}</h2>
          <p>{view.machine?.adopted ? words.wordsAdopt : view.snapshot_id ? words.words : words.wordsNew}</p>
        </div>
        <div className="eta">
          {usual ? (
            <>
              <span>{usual.leftMs > 0 ? words.readyIn : "\u00a0"}</span>
              <b className={usual.leftMs > 0 ? "" : "soon"}>{says}</b>
              <span>{usual.isLate ? words.longer(f.clock(wake.since)) : words.atLatest(f.clock(usual.latestAt))}</span>
            </>
          ) : (
            <span>{words.unknown}</span>
          )}
        </div>
      </div>
      <div className="total">
        <div
          className="track"
          role="progressbar"
          aria-label={t.common.status.waking}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={usual || view.progress ? Math.round(100 * share) : undefined}
          aria-valuetext={usual ? `${words.readyIn} ${f.duration(usual.leftMs)}` : words.unknown}
        >
          <span className="f" style={{ width: `${100 * share}%` }} />
          {usual && <span className="p" style={{ left: `${(100 * usual.p50Ms) / usual.p95Ms}%` }} />}
        </div>
        <div className="ticks" aria-hidden="true">
          <span style={{ left: 0 }}>{f.clock(wake.since).slice(0, 5)}</span>
          {usual && (
            <>
              {share > 0.12 && share < 0.6 && (
                <span style={{ left: `${100 * share}%` }} className="hide-s">
                  {words.now}
                </span>
              )}
              <span className="u" style={{ left: `${(100 * usual.p50Ms) / usual.p95Ms}%` }}>
                <b className="ink2">{words.usual(f.countdown(usual.p50Ms))}</b>
              </span>
              {usual.p50Ms / usual.p95Ms < 0.8 && (
                <span className="e" style={{ left: "100%" }}>
                  {words.upTo(f.countdown(usual.p95Ms))}
                </span>
              )}
            </>
          )}
        </div>
      </div>
    </>
  );
}

const order = ["renting", "booting", "restoring"] as const;

function Phases({ view, wake }: { view: InstanceView; wake: Wake }) {
  const { t, f } = useReader();
  const now = useNow(1_000);
  const words = t.instance.waking;
  const at = order.indexOf(wake.phase);
  const stateOf = (phase: (typeof order)[number]) => {
    const i = order.indexOf(phase);
    return i < at ? "done" : i === at ? "now" : "todo";
  };
  const timeOf = (phase: (typeof order)[number]) => {
    if (stateOf(phase) === "now") return f.countdown(now - Date.parse(wake.phase_since));
    const usual = wake.usual?.[phase];
    return stateOf(phase) === "todo" && usual ? words.about(f.duration(usual.p50_seconds * 1000)) : "";
  };
  const contract = view.machine?.vast_instance_id;
  return (
    <ol className="phases" aria-label={words.phases}>
      {!view.machine?.adopted && (
        <Phase
          icon={Search}
          name={words.rent}
          state={stateOf("renting")}
          time={timeOf("renting")}
          words={contract ? words.contract(String(contract)) : words.rentWords(wake.machines_asked)}
        />
      )}
      <Phase
        icon={Power}
        name={words.boot}
        state={stateOf("booting")}
        time={timeOf("booting")}
        words={view.region ?? ""}
      />
      {view.snapshot_id && (
        <Phase icon={CloudDownload} name={words.download} state={stateOf("restoring")} time={timeOf("restoring")}>
          <Restore view={view} isNow={wake.phase === "restoring"} />
        </Phase>
      )}
    </ol>
  );
}

function Restore({ view, isNow }: { view: InstanceView; isNow: boolean }) {
  const { t, f } = useReader();
  const { progress, snapshot } = view;
  const rate = useRate(`${view.id}:${view.wake?.since}`, isNow && progress ? progress.done_bytes : null);
  const all = progress && progress.plain_bytes > 0 ? progress.plain_bytes : (snapshot?.plain_bytes ?? null);
  if (!isNow || !progress || all === null) return <>{snapshot?.plain_bytes ? f.bytes(snapshot.plain_bytes) : ""}</>;
  const share = Math.min(1, progress.done_bytes / Math.max(1, all));
  const words = t.instance.sleeping;
  const left = rate && rate > 0 ? ((all - progress.done_bytes) / rate) * 1000 : null;
  const name = t.instance.waking.download;
  return (
    <>
      <div className="nums">
        <span>
          <b>{f.bytes(progress.done_bytes)}</b> {words.of("", f.bytes(all)).trim()}
        </span>
        {rate !== null && rate > 0 && (
          <span>
            <b>{f.rate(rate)}</b>
          </span>
        )}
        {left !== null && <span>{words.left(f.duration(left))}</span>}
      </div>
      <ProgressBar
        name={name}
        share={share}
        text={words.bar(name, f.percent(100 * share), f.bytes(progress.done_bytes), f.bytes(all))}
        announce={words.announce}
      />
    </>
  );
}

function WhenReady({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const words = t.instance.waking;
  const { enabled, grace_minutes } = view.auto_hibernation;
  return (
    <section className="card">
      <header>
        <h2>{words.ready}</h2>
      </header>
      <div className="body">
        <dl className="kv">
          <dt>{words.notify}</dt>
          <dd>
            <Notify />
          </dd>
          <dt>{words.ssh}</dt>
          <dd className="mono">{view.machine?.ssh ?? "–"}</dd>
          <dt>{words.idleRule}</dt>
          <dd>{enabled ? words.idleRuleAfter(f.duration(grace_minutes * 60_000)) : words.idleRuleOff}</dd>
        </dl>
      </div>
    </section>
  );
}

export function Notify() {
  const { t } = useReader();
  const words = t.instance.waking;
  const [permission, setPermission] = useState(notifyPermission);
  if (permission === null) return words.notifyNone;
  if (permission === "granted") return words.notifyOn;
  if (permission === "denied") return words.notifyDenied;
  return (
    <Button className="small" onClick={async () => setPermission(await Notification.requestPermission())}>
      {words.notifyAsk}
    </Button>
  );
}
