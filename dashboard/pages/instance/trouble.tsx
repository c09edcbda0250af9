/** Something needs a person: what happened, that nothing was destroyed, what it costs meanwhile, and the ways out. */
import { Sun, TriangleAlert, WifiOff } from "lucide-react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { useInstanceAction } from "../../parts/actions.ts";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useNow } from "../../ui/now.ts";

export function TroublePanel({ view, onWake }: { view: InstanceView; onWake: () => void }) {
  const { t, f } = useReader();
  const now = useNow(1_000);
  const action = useInstanceAction(view.id);
  const isSilent = view.status === "unreachable";
  const words = t.instance.trouble;
  const silentFor = view.last_report_at ? f.duration(now - Date.parse(view.last_report_at)) : null;
  const title = isSilent ? (silentFor ? words.noContact(silentFor) : words.noContactFresh) : t.common.status.failed;
  const point = view.recovery_point;
  return (
    <section className={`trouble-panel ${isSilent ? "idle" : "bad"}`} aria-label={t.common.status[view.status]}>
      <Icon of={isSilent ? WifiOff : TriangleAlert} />
      <div className="say">
        <h2>{title}</h2>
        <p>
          {isSilent ? words.noContactWords : words.kept}{" "}
          {view.burn.micro_usd_per_hour > 0 && words.stillCosts(f.perHour(view.burn.micro_usd_per_hour))}
        </p>
        {view.trouble && (
          <p>
            {view.trouble.message} <span className="muted mono">{view.trouble.code}</span>{" "}
            <span className="muted">{words.at(f.moment(view.trouble.at, now))}</span>
          </p>
        )}
        {isSilent && <p>{point ? words.recovery(f.duration(now - Date.parse(point.at))) : words.noRecovery}</p>}
        <div className="row">
          {view.actions.includes("wake") && (
            <Button
              tone={isSilent ? "plain" : "ink"}
              isBusy={action.isBusy}
              onClick={isSilent || !view.machine ? onWake : () => action.wake()}
            >
              <Icon of={Sun} />
              {isSilent ? words.wakeElsewhere : t.common.action.retry}
            </Button>
          )}
        </div>
      </div>
    </section>
  );
}
