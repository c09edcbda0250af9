/** While it runs: whether something keeps it awake, what, and when it sleeps. */
import { Minus, Moon, Plus } from "lucide-react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useMe } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useInstanceAction } from "../../parts/actions.ts";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useNow } from "../../ui/now.ts";
import { actorTitle } from "./event-words.ts";
import { useKeepAwake } from "./keep-awake.ts";
import { Ring } from "./ring.tsx";
import { Why } from "./why.tsx";

export function IdlePanel({ view }: { view: InstanceView }) {
  const { t } = useReader();
  return (
    <section
      className={`dusk${view.next?.what === "hibernate" ? "" : " day"}`}
      aria-label={t.common.status[view.status]}
    >
      <RingOf view={view} />
      <Say view={view} />
      <Why view={view} />
    </section>
  );
}

function RingOf({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const now = useNow(250);
  const sleepsAt = view.next?.what === "hibernate" ? Date.parse(view.next.at) : null;
  if (sleepsAt === null) {
    const gpu = view.gpu_utilization;
    return (
      <Ring
        left={null}
        big={gpu === null ? "?" : f.percent(gpu)}
        small={t.common.signal.gpu}
        level={gpu === null ? 0 : gpu / 100}
      />
    );
  }
  const since = view.idle_since ? Date.parse(view.idle_since) : now;
  const whole = Math.max(1, sleepsAt - since);
  const left = Math.max(0, sleepsAt - now);
  return <Ring left={Math.min(1, left / whole)} big={f.countdown(left)} small={t.instance.idle.until} level={null} />;
}

function Say({ view }: { view: InstanceView }) {
  const { t } = useReader();
  const action = useInstanceAction(view.id);
  const keep = useKeepAwake(view);
  const words = t.instance.idle;
  const can = (name: InstanceView["actions"][number]) => view.actions.includes(name);
  return (
    <div className="say">
      <h2>
        <Title view={view} heldUntil={keep.until} />
      </h2>
      <More view={view} />
      <div className="row">
        {can("keep_awake") && (
          <span className="step">
            <Button aria-label={words.lessHour} disabled={keep.until === null} onClick={() => keep.change(-1)}>
              <Icon of={Minus} />
              {words.hour}
            </Button>
            <Button aria-label={words.moreHour} onClick={() => keep.change(1)}>
              <Icon of={Plus} />
              {words.hourAwake}
            </Button>
          </span>
        )}
        {view.next?.warned_at && can("not_now") && (
          <Button isBusy={action.isBusy} onClick={() => action.notNow()}>
            {t.common.action.notNow}
          </Button>
        )}
        {can("hibernate") && (
          <Button
            tone="night"
            isBusy={action.isBusy}
            onClick={() => action.hibernate(t.instances.doing.hibernate(view.name))}
          >
            <Icon of={Moon} />
            {t.common.action.hibernateNow}
          </Button>
        )}
      </div>
    </div>
  );
}

function Title({ view, heldUntil }: { view: InstanceView; heldUntil: number | null }) {
  const { t, f } = useReader();
  const me = useMe();
  const words = t.instance.idle;
  const now = Date.now();
  if (heldUntil !== null) return words.held(f.moment(heldUntil, now));
  const asked = view.sleep_request;
  if (asked?.next_at) return words.asked(actorTitle(asked.by, asked.by_name, me, t), f.moment(asked.next_at, now));
  const [first] = view.awake_because;
  if (!first) {
    if (view.next?.what === "hibernate") return words.nothing(f.moment(view.next.at, now));
    return view.auto_hibernation.enabled ? words.busy : words.off;
  }
  if (first.code === "gpu_busy")
    return words.busySentence(f.percent(first.threshold ?? view.auto_hibernation.gpu_usage_threshold));
  if (first.code === "grace" && first.until) return words.grace(f.moment(first.until, now));
  return `${blockerWords(first, t)}.`;
}

export function blockerWords(one: InstanceView["awake_because"][number], t: ReturnType<typeof useReader>["t"]): string {
  const name = t.common.signal[one.signal as keyof typeof t.common.signal] ?? one.signal;
  const words = t.instance.blocker;
  switch (one.code) {
    case "signal_busy":
      return words.signal_busy(name);
    case "signal_unknown":
      return words.signal_unknown(name);
    case "gpu_busy":
    case "gpu_unknown":
    case "sensor_failed":
    case "no_samples":
    case "samples_stale":
    case "lease":
    case "grace":
    case "hook_veto":
      return words[one.code];
    default:
      return words.other;
  }
}

function More({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const now = useNow(1_000);
  const words = t.instance.idle;
  const parts: string[] = [];
  const { pause_after_idle_minutes: pause, enabled } = view.auto_hibernation;
  if (view.idle_since && enabled) {
    const sleepsAt = view.next?.what === "hibernate" ? Date.parse(view.next.at) : null;
    const since = Date.parse(view.idle_since);
    const of = pause === "auto" ? (sleepsAt === null ? null : sleepsAt - since) : pause * 60_000;
    if (of !== null) parts.push(words.quietFor(f.duration(Math.min(of, now - since)), f.duration(of)));
  }
  const price = view.machine?.micro_usd_per_hour;
  if (price) parts.push(words.stops(f.perHour(price)));
  const even = view.sleep_rule.break_even_seconds;
  if (even !== null) parts.push(words.paysAfter(f.duration(even * 1000)));
  if (view.next?.warned_at) parts.push(words.soon);
  const [first] = view.awake_because;
  if (first?.detail) parts.push(first.detail);
  return <p>{parts.join(" ")}</p>;
}
