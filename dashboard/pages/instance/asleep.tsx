/** It sleeps: what comes back, what that costs meanwhile, and when it wakes. */
import { Sun } from "lucide-react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { useInstanceAction } from "../../parts/actions.ts";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icon.tsx";

export function AsleepPanel({ view, onWake }: { view: InstanceView; onWake: () => void }) {
  const { t } = useReader();
  const action = useInstanceAction(view.id);
  const can = (name: InstanceView["actions"][number]) => view.actions.includes(name);
  const isRented = view.burn.micro_usd_per_hour > 0;
  return (
    <section className="night-panel" aria-label={t.common.status[view.status]}>
      <svg viewBox="0 0 172 172" className="closed-eye" aria-hidden="true">
        <circle cx="86" cy="86" r="64" fill="var(--lid)" />
        <path d="M38 92a50 50 0 0 0 96 0" fill="none" stroke="var(--night)" strokeWidth="6" strokeLinecap="round" />
        <path d="M52 118l-8 12M86 130v14M120 118l8 12" stroke="var(--night)" strokeWidth="5" strokeLinecap="round" />
      </svg>
      <div className="say">
        <h2>
          {view.stopped_machine
            ? t.instance.asleep.titleStopped
            : view.status === "deleted"
              ? t.instance.asleep.deleted
              : isRented
                ? t.common.status.hibernated
                : t.instance.asleep.title}
        </h2>
        <Words view={view} />
        <div className="row">
          {can("wake") && (
            <Button tone="lamp" isBig onClick={onWake}>
              <Icon of={Sun} />
              {view.status === "deleted" ? t.common.action.restore : t.common.action.wake}
            </Button>
          )}
          {can("hibernate") && (
            <Button isBig isBusy={action.isBusy} onClick={() => action.hibernate()}>
              {t.common.action.cancelWake}
            </Button>
          )}
        </div>
      </div>
    </section>
  );
}

function Words({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const words = t.instance.asleep;
  const now = Date.now();
  const { snapshot, storage, next, stopped_machine, copying, keep_trying } = view;
  const lines: string[] = [];
  if (copying) {
    const all = copying.parts_total === null ? "?" : f.number(copying.parts_total);
    lines.push(t.instance.waking.copying(f.number(copying.parts_done), all));
  } else if (stopped_machine && !stopped_machine.is_saved) {
    lines.push(words.stoppedUnsaved);
  } else if (snapshot?.proved_at) {
    const size = snapshot.plain_bytes === null ? t.common.unknown : f.bytes(snapshot.plain_bytes);
    lines.push(words.proved(f.moment(snapshot.proved_at, now), size));
  } else if (!snapshot) lines.push(words.noSnapshot);
  if (stopped_machine?.disk_micro_usd_per_hour)
    lines.push(words.stoppedWords(f.perHour(stopped_machine.disk_micro_usd_per_hour)));
  if (storage) lines.push(words.storage(f.money(storage.micro_usd_per_month, true)));
  if (keep_trying?.next_at) lines.push(t.instance.waking.nextTry(f.moment(keep_trying.next_at, now)));
  if (next?.what === "wake") lines.push(words.wakesAt(f.moment(next.at, now)));
  if (next?.what === "delete") lines.push(words.deletesAt(f.moment(next.at, now)));
  if (view.auto_hibernation.wake_method === "auto") lines.push(words.wakesByRequest);
  return (
    <>
      <p>{lines.slice(0, 2).join(" ")}</p>
      {lines.length > 2 && <p>{lines.slice(2).join(" ")}</p>}
    </>
  );
}
