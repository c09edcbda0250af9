/** Its name, its state, what it is and costs, how to reach it, and the one thing that one most likely wants. */
import { Clock, Copy, Cpu, ExternalLink, MapPin, Moon, Pencil, Settings2, Sun, Trash2, X } from "lucide-react";
import { type FormEvent, useState } from "react";
import { useLocation } from "wouter";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { useInstanceAction } from "../../parts/actions.ts";
import { Countdown } from "../../parts/countdown.tsx";
import { useMay } from "../../parts/may.ts";
import { StatusBadge } from "../../parts/status.tsx";
import { Button } from "../../ui/button.tsx";
import { CopyButton } from "../../ui/copy.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Menu } from "../../ui/menu.tsx";

interface Props {
  view: InstanceView;
  isLive: boolean;
  onWake: () => void;
  onConfigure: () => void;
}

export function Head({ view, isLive, onWake, onConfigure }: Props) {
  const [isRenaming, setIsRenaming] = useState(false);
  return (
    <div className="ihead">
      <div>
        <div className="row">
          {isRenaming ? <Rename view={view} onDone={() => setIsRenaming(false)} /> : <h1>{view.name}</h1>}
          <Badge view={view} />
        </div>
        <Facts view={view} isLive={isLive} />
      </div>
      <div className="end">
        <Primary view={view} onWake={onWake} onConfigure={onConfigure} />
        <More view={view} onRename={() => setIsRenaming(true)} onConfigure={onConfigure} />
      </div>
    </div>
  );
}

function Badge({ view }: { view: InstanceView }) {
  const { t } = useReader();
  if (view.status !== "idle" || view.next?.what !== "hibernate") return <StatusBadge status={view.status} />;
  const [before, after] = t.instances.hibernatesIn("\u0000").split("\u0000");
  return (
    <StatusBadge status="idle">
      <span>
        {t.common.status.idle}, {before}
        <Countdown to={view.next.at} />
        {after}
      </span>
    </StatusBadge>
  );
}

function Rename({ view, onDone }: { view: InstanceView; onDone: () => void }) {
  const { t } = useReader();
  const action = useInstanceAction(view.id);
  const save = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get("name")).trim();
    if (name === "" || name === view.name || (await action.rename(name))) onDone();
  };
  return (
    <form className="row" onSubmit={save}>
      <input
        name="name"
        className="field rename"
        defaultValue={view.name}
        maxLength={80}
        aria-label={t.common.action.rename}
        // biome-ignore lint/a11y/noAutofocus: it takes the place of what was pressed
        autoFocus
        onKeyDown={(event) => event.key === "Escape" && onDone()}
      />
      <Button type="submit" isBusy={action.isBusy}>
        {t.common.action.save}
      </Button>
      <Button tone="ghost" isIcon aria-label={t.common.action.close} onClick={onDone}>
        <Icon of={X} />
      </Button>
    </form>
  );
}

function Facts({ view, isLive }: { view: InstanceView; isLive: boolean }) {
  const { t, f } = useReader();
  const { machine } = view;
  const now = Date.now();
  return (
    <div className="facts">
      <span>
        <Icon of={Cpu} />
        {view.gpu_type ? t.instance.gpus(view.gpu_count, view.gpu_type) : t.instances.anyGpu}
      </span>
      <span>
        <Icon of={MapPin} />
        {view.region ?? t.instances.anywhere}
        {machine?.vast_instance_id && (
          <a className="link" href="https://cloud.vast.ai/instances/" target="_blank" rel="noreferrer">
            vast.ai {machine.vast_instance_id}
          </a>
        )}
      </span>
      <span>
        <Icon of={Clock} />
        {machine
          ? view.status === "waking"
            ? t.instance.askedAt(f.clock(view.wake?.since ?? machine.rented_at))
            : t.instance.upSince(f.moment(machine.rented_at, now))
          : t.instance.asleepSince(f.moment(view.state_since, now))}
      </span>
      {(view.burn.micro_usd_per_hour > 0 || view.burn.unpriced > 0) && (
        <b>{view.burn.unpriced > 0 ? t.common.priceUnknown : f.perHour(view.burn.micro_usd_per_hour)}</b>
      )}
      {machine?.ssh && (
        <span className="cmd">
          {machine.ssh}
          <CopyButton text={machine.ssh} label={t.common.action.copySsh} />
        </span>
      )}
      {!isLive && <span className="muted">{t.instance.notLive}</span>}
    </div>
  );
}

function Primary({ view, onWake, onConfigure }: Omit<Props, "isLive">) {
  const { t } = useReader();
  const action = useInstanceAction(view.id);
  const words = t.common.action;
  const can = (name: InstanceView["actions"][number]) => view.actions.includes(name);
  const { isBusy } = action;
  switch (view.status) {
    case "hibernated":
    case "deleted":
      return can("wake") ? (
        <Button tone="lamp" isBusy={isBusy} onClick={onWake}>
          <Icon of={Sun} />
          {view.status === "deleted" ? words.restore : words.wake}
        </Button>
      ) : null;
    case "waking":
      return can("hibernate") ? (
        <Button isBusy={isBusy} onClick={() => action.hibernate(t.instances.doing.cancel(view.name))}>
          {words.cancelWake}
        </Button>
      ) : null;
    case "hibernating":
      return can("wake") ? (
        <Button isBusy={isBusy} onClick={() => action.wake(t.instances.doing.cancel(view.name))}>
          {words.cancelSleep}
        </Button>
      ) : null;
    case "failed":
      return can("wake") ? (
        <Button tone="ink" isBusy={isBusy} onClick={() => action.wake()}>
          {words.retry}
        </Button>
      ) : null;
    default:
      return can("configure") ? (
        <Button onClick={onConfigure}>
          <Icon of={Settings2} />
          {words.configure}
        </Button>
      ) : null;
  }
}

function More({ view, onRename, onConfigure }: { view: InstanceView; onRename: () => void; onConfigure: () => void }) {
  const { t } = useReader();
  const [, go] = useLocation();
  const action = useInstanceAction(view.id);
  const words = t.common.action;
  const may = useMay();
  const can = (name: InstanceView["actions"][number]) => view.actions.includes(name);
  return (
    <Menu
      tone="plain"
      label={words.more(view.name)}
      items={[
        view.status === "unreachable" &&
          can("wake") && { label: t.instance.trouble.wakeElsewhere, icon: Sun, onSelect: () => void action.wake() },
        (view.status === "running" || view.status === "idle") &&
          can("hibernate") && {
            label: words.hibernateNow,
            icon: Moon,
            onSelect: () => void action.hibernate(t.instances.doing.hibernate(view.name)),
          },
        can("configure") && { label: words.configure, icon: Settings2, onSelect: onConfigure },
        may("renameInstance") && { label: words.rename, icon: Pencil, onSelect: onRename },
        may("createInstance") &&
          view.snapshot !== null && { label: words.clone, icon: Copy, onSelect: () => go(`/new?from=${view.id}`) },
        {
          label: words.openService,
          icon: ExternalLink,
          onSelect: () => window.open(view.proxy.url, "_blank", "noreferrer"),
        },
        can("discard") && {
          label: words.discard,
          icon: Trash2,
          isDanger: true,
          onSelect: () => go(`/i/${view.id}?configure=danger`),
        },
      ]}
    />
  );
}
