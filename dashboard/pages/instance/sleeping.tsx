/** A sleep under way: what is stored, what is proved, and that nothing is destroyed before. */
import { Check, CloudUpload, LoaderCircle, type LucideIcon, ShieldCheck, Trash2 } from "lucide-react";
import type { ReactNode } from "react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { shareOf } from "../../parts/progress.ts";
import { useRate } from "../../parts/rate.ts";
import { Icon } from "../../ui/icon.tsx";
import { useNow } from "../../ui/now.ts";
import { ProgressBar } from "../../ui/progress.tsx";

export function SleepingPanel({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const words = t.instance.sleeping;
  const now = useNow(1_000);
  const isLeaving = view.state === "destroying";
  const isStop = view.auto_hibernation.pause_mode === "stop";
  return (
    <section className="dawn nightfall" aria-label={words.title}>
      <div className="sky">
        <div className="say">
          <h2>
            {words.title}, {f.duration(now - Date.parse(view.state_since))}
          </h2>
          <p>{isLeaving ? words.destroying : isStop ? words.wordsStop : words.words}</p>
        </div>
        {view.burn.micro_usd_per_hour > 0 && (
          <div className="eta">
            <span>{words.cost(f.perHour(view.burn.micro_usd_per_hour))}</span>
          </div>
        )}
      </div>
      <ol className="phases" aria-label={words.phases}>
        <Store view={view} isDone={isLeaving || isProving(view)} />
        <Phase
          icon={ShieldCheck}
          name={words.prove}
          state={isLeaving ? "done" : isProving(view) ? "now" : "todo"}
          words={words.proveWords}
        />
        <Phase
          icon={Trash2}
          name={isStop ? words.stop : words.destroy}
          state={isLeaving ? "now" : "todo"}
          words={isLeaving ? words.working : words.ahead}
        />
      </ol>
      <p className="panel-foot">{isLeaving ? words.destroying : words.cancelable}</p>
    </section>
  );
}

/** Everything is sent, and the agent waits for the proof. */
function isProving({ progress }: InstanceView): boolean {
  return progress !== null && progress.phase === "done";
}

function Store({ view, isDone }: { view: InstanceView; isDone: boolean }) {
  const { t, f } = useReader();
  const words = t.instance.sleeping;
  const { progress } = view;
  const rate = useRate(`${view.id}:${view.state_since}`, progress ? progress.sent_bytes : null);
  const share = progress ? shareOf(progress) : null;
  const name = progress?.phase === "scan" ? words.scan : words.upload;
  if (isDone || !progress)
    return (
      <Phase
        icon={CloudUpload}
        name={words.upload}
        state={isDone ? "done" : "now"}
        words={progress ? f.bytes(progress.sent_bytes) : words.working}
      />
    );
  const done = f.bytes(progress.done_bytes);
  const all = f.bytes(progress.plain_bytes);
  const left = rate && share !== null && share > 0 ? leftMs(progress, rate, share) : null;
  return (
    <Phase icon={CloudUpload} name={name} state="now">
      <div className="nums">
        <span>
          <b>{done}</b> {words.of("", all).trim()}
        </span>
        {progress.sent_bytes > 0 && (
          <span>
            {words.upload} <b>{f.bytes(progress.sent_bytes)}</b>
          </span>
        )}
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
        text={words.bar(name, f.percent(100 * (share ?? 0)), done, all)}
        announce={words.announce}
      />
    </Phase>
  );
}

/** By what was sent so far of what was read so far. */
function leftMs(progress: NonNullable<InstanceView["progress"]>, rate: number, share: number): number | null {
  if (progress.sent_bytes === 0) return null;
  const still = (progress.sent_bytes / share) * (1 - share);
  return (still / rate) * 1000;
}

interface PhaseProps {
  icon: LucideIcon;
  name: string;
  state: "done" | "now" | "todo";
  words?: ReactNode;
  time?: ReactNode;
  children?: ReactNode;
}

export function Phase({ icon, name, state, words, time, children }: PhaseProps) {
  const shape = state === "done" ? Check : state === "now" ? LoaderCircle : icon;
  return (
    <li className={`phase ${state === "done" ? "" : state}`} aria-current={state === "now" ? "step" : undefined}>
      <span className="d">
        <Icon of={shape} spin={state === "now"} />
      </span>
      <b>{name}</b>
      <div className="x">{children ?? words}</div>
      <span className="t">{time}</span>
    </li>
  );
}
