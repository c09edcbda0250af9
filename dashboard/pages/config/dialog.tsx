/** The settings of one instance, in tabs that share one form: nothing is sent before it is saved, and nothing is lost unasked. */
import { useQuery } from "@tanstack/react-query";
import { TriangleAlert } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { configQuery, instanceQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Tabs } from "../../ui/tabs.tsx";
import { Conflicts } from "./conflicts.tsx";
import { DangerTab } from "./danger.tsx";
import { DiscardDialog } from "./discard.tsx";
import { type Config, namesOf, type Tab, tabOf, tabs } from "./form.ts";
import { IdleTab } from "./idle.tsx";
import { ScheduleTab } from "./schedule.tsx";
import { ServiceTab } from "./service.tsx";
import { SnapshotTab } from "./snapshot.tsx";
import { type Form, FormContext, useNewForm } from "./use-form.ts";
import { useSave } from "./use-save.ts";

interface Props {
  id: string;
  name: string;
  /** As an address names it; the first where it names none. */
  tab?: string;
  onClose: () => void;
}

function isConfigTab(text: string | undefined): text is Tab {
  return tabs.includes(text as Tab);
}

export function ConfigDialog({ id, name, tab: wanted, onClose }: Props) {
  const tab = isConfigTab(wanted) ? wanted : "idle";
  const { t } = useReader();
  const config = useQuery(configQuery(id));
  const instance = useQuery(instanceQuery(id));
  if (config.data && instance.data)
    return <Loaded view={instance.data} config={config.data} firstTab={tab} onClose={onClose} />;
  const error = config.error ?? instance.error;
  const retry = () => {
    void config.refetch();
    void instance.refetch();
  };
  return (
    <Dialog title={t.config.title(name)} lead={t.config.lead[tab]} isWide onClose={onClose}>
      <div className="cfg" aria-busy={!error}>
        {error ? (
          <div className="sec">
            <FailureNote error={error} onRetry={retry} />
          </div>
        ) : (
          <Skeleton />
        )}
      </div>
    </Dialog>
  );
}

function Skeleton() {
  const { t } = useReader();
  return (
    <div className="form">
      <div role="status">
        <span className="vh">{t.common.loading}</span>
        {["44%", "60%", "38%", "52%", "47%", "58%"].map((width) => (
          <div className="fld" key={width}>
            <i className="bone" style={{ width }} />
          </div>
        ))}
      </div>
      <div className="side" />
    </div>
  );
}

interface LoadedProps {
  view: InstanceView;
  config: Config;
  firstTab: Tab;
  onClose: () => void;
}

function Loaded({ view, config, firstTab, onClose }: LoadedProps) {
  const { t } = useReader();
  const form = useNewForm(config);
  const [tab, setTab] = useState<Tab>(firstTab);
  const [isAsking, setIsAsking] = useState(false);
  const [isDiscarding, setIsDiscarding] = useState(false);
  const isDirty = namesOf(form.edits).length > 0;
  const mayClose = () => {
    if (isDirty) setIsAsking(true);
    return !isDirty;
  };
  return (
    <FormContext value={form}>
      <Dialog
        title={t.config.title(view.name)}
        lead={t.config.lead[tab]}
        isWide
        mayClose={mayClose}
        isHeld={form.made !== null && !isDirty}
        onClose={onClose}
      >
        <div className="cfg">
          <Tabs label={t.config.tabsLabel} tabs={useTabLabels(form)} value={tab} onChange={setTab}>
            {tab === "danger" ? (
              <DangerTab view={view} onDiscard={() => setIsDiscarding(true)} />
            ) : (
              <div className={`form${tab === "schedule" ? " wider" : ""}`} key={tab}>
                {tab === "idle" && <IdleTab view={view} />}
                {tab === "schedule" && <ScheduleTab view={view} />}
                {tab === "snapshot" && <SnapshotTab />}
                {tab === "service" && <ServiceTab view={view} />}
              </div>
            )}
          </Tabs>
        </div>
        <Foot
          id={view.id}
          form={form}
          isAsking={isAsking && isDirty}
          onStay={() => setIsAsking(false)}
          onClose={onClose}
        />
      </Dialog>
      {isDiscarding && <DiscardDialog view={view} onClose={() => setIsDiscarding(false)} />}
    </FormContext>
  );
}

/** A tab with something that cannot be saved says so: it may be the one that is not looked at. */
function useTabLabels(form: Form): { value: Tab; label: ReactNode }[] {
  const { t } = useReader();
  const bad = namesOf(form.edits).filter((name) => form.edits[name]!.is === "bad");
  const wrong = [...bad, ...Object.keys(form.issues)].map(tabOf);
  return tabs.map((value) => ({
    value,
    label: wrong.includes(value) ? (
      <>
        {t.config.tabs[value]}
        <Icon of={TriangleAlert} className="bad-t" />
        <span className="vh">{t.config.tabWrong}</span>
      </>
    ) : (
      t.config.tabs[value]
    ),
  }));
}

interface FootProps {
  id: string;
  form: Form;
  /** Closing was wanted, and something would be lost. */
  isAsking: boolean;
  onStay: () => void;
  onClose: () => void;
}

function Foot({ id, form, isAsking, onStay, onClose }: FootProps) {
  const { t } = useReader();
  const words = t.config.foot;
  const save = useSave(id, form);
  const changes = namesOf(form.edits).length;
  const stay = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (isAsking) stay.current?.focus();
  }, [isAsking]);
  if (isAsking)
    return (
      <footer className="asking">
        <p role="alert">{words.ask(changes)}</p>
        <div className="end">
          <button ref={stay} type="button" className="btn ghost big" onClick={onStay}>
            {words.stay}
          </button>
          <Button tone="danger" isBig onClick={onClose}>
            {words.leave}
          </Button>
        </div>
      </footer>
    );
  return (
    <>
      {save.error !== null && (
        <div className="foot-note">
          <FailureNote error={save.error} />
        </div>
      )}
      <Conflicts form={form} save={save} />
      <footer>
        <span className="sub" role="status">
          {changes > 0
            ? form.isValid
              ? words.changes(changes)
              : words.invalid
            : save.isSaved
              ? words.saved
              : words.clean}
        </span>
        <div className="end">
          {changes > 0 ? (
            <Button tone="ghost" isBig onClick={() => form.setEdits(() => ({}))}>
              {words.discard}
            </Button>
          ) : (
            <Button tone="ghost" isBig onClick={onClose}>
              {t.common.action.close}
            </Button>
          )}
          <Button
            tone="ink"
            isBig
            isBusy={save.isBusy}
            disabled={changes === 0 || !form.isValid}
            onClick={() => void save.save()}
          >
            {t.common.action.save}
          </Button>
        </div>
      </footer>
    </>
  );
}
