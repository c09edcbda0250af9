/** Destroys a machine without a snapshot: says what goes, what stays and what it costs before it does. */
import { useQueryClient } from "@tanstack/react-query";
import { Archive, Trash2 } from "lucide-react";
import { useId, useState } from "react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { call } from "../../api/client.ts";
import { instanceQuery, instancesQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useNow } from "../../ui/now.ts";
import { useVoice } from "../../ui/toast.tsx";
import { Rich } from "./fields.tsx";

export function DiscardDialog({ view, onClose }: { view: InstanceView; onClose: () => void }) {
  const { t } = useReader();
  const words = t.config.discard;
  const queries = useQueryClient();
  const voice = useVoice();
  const { isBusy, error, run } = useAsk();
  const [typed, setTyped] = useState("");
  const id = useId();
  // Only what cannot be had back asks for more than a press.
  const isLast = view.snapshot === null && view.recovery_point === null;
  const may = view.actions.includes("discard");
  const isSure = may && (!isLast || typed.trim() === view.name);
  const discard = () =>
    run(async () => {
      const after = await call("discardInstance", { params: { id: view.id }, body: { confirm: view.id } });
      queries.setQueryData(instanceQuery(view.id).queryKey, after);
      void queries.invalidateQueries({ queryKey: ["instance", view.id] });
      void queries.invalidateQueries({ queryKey: instancesQuery.queryKey });
      voice.announce(words.done(view.name));
      onClose();
    });
  return (
    <Dialog title={words.title(view.name)} isAlert isHeld={isBusy} onClose={onClose}>
      <div className="scrolls sec discard">
        <div className="fates">
          <Fate icon="gone" title={words.gone} lines={useGone(view)} />
          <Fate icon="kept" title={words.kept} lines={useKept(view)} />
        </div>
        {may ? <Cost view={view} /> : <p className="note">{t.config.danger.nothing}</p>}
        {may && isLast && (
          <div className="sure">
            <label htmlFor={id}>
              <Rich words={words.type(view.name)} />
            </label>
            <input
              id={id}
              className="field"
              autoComplete="off"
              spellCheck={false}
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
          </div>
        )}
        {error !== null && <FailureNote error={error} />}
      </div>
      <footer>
        <div className="end">
          <button ref={asFirst} type="button" className="btn ghost big" onClick={onClose}>
            {words.keepIt}
          </button>
          <Button tone="danger" isBig isBusy={isBusy} disabled={!isSure} onClick={discard}>
            <Icon of={Trash2} />
            {words.button}
          </Button>
        </div>
      </footer>
    </Dialog>
  );
}

/** Where a dialog's focus begins: at what changes nothing. */
function asFirst(button: HTMLButtonElement | null): void {
  button?.setAttribute("autofocus", "");
}

function Fate({ icon, title, lines }: { icon: "gone" | "kept"; title: string; lines: readonly string[] }) {
  return (
    <section className={icon}>
      <h3>
        <Icon of={icon === "gone" ? Trash2 : Archive} />
        {title}
      </h3>
      <ul>
        {lines.map((line) => (
          <li key={line}>
            <Rich words={line} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function useGone(view: InstanceView): string[] {
  const { t, f } = useReader();
  const words = t.config.discard;
  const now = useNow(10_000);
  const machine = view.machine ?? view.stopped_machine;
  const point = view.recovery_point;
  const since = point?.at ?? view.snapshot?.created_at ?? null;
  const lines = [];
  if (machine) {
    const gpu = machine.gpu_type ? `${machine.gpu_count ?? 1}× ${machine.gpu_type}` : words.aMachine;
    const number = machine.vast_instance_id;
    lines.push(number === null ? words.machine(gpu) : words.machineNumber(gpu, String(number)));
  }
  if (!view.actions.includes("discard")) return [words.nothing];
  if (since === null) lines.push(words.everything);
  else lines.push(words.since(f.duration(now - Date.parse(since)), f.moment(since, now)));
  if (point && point.torn > 0) lines.push(words.torn(point.torn));
  if (view.leases.length > 0) lines.push(words.leases(view.leases.length));
  return lines;
}

function useKept(view: InstanceView): string[] {
  const { t, f } = useReader();
  const words = t.config.discard;
  const now = useNow(60_000);
  const { snapshot, recovery_point: point } = view;
  const lines = [];
  if (point) {
    const size = point.snapshot_id === snapshot?.snapshot_id ? snapshot.plain_bytes : null;
    lines.push(words.point(point.kind, f.moment(point.at, now), size === null ? null : f.bytes(size)));
  } else if (snapshot) {
    const size = snapshot.plain_bytes;
    lines.push(words.point("snapshot", f.moment(snapshot.created_at, now), size === null ? null : f.bytes(size)));
  } else lines.push(words.noSnapshot);
  return [...lines, words.settings, words.history];
}

/** Of money a month, below which it is not worth a word. */
const aCent = 10_000;

function Cost({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const words = t.config.discard;
  const { burn, storage } = view;
  const stops = burn.micro_usd_per_hour > 0 ? words.stops(f.perHour(burn.micro_usd_per_hour)) : words.stopsUnknown;
  const goesOn =
    storage === null || storage.micro_usd_per_month < aCent
      ? ""
      : ` ${words.storage(f.money(storage.micro_usd_per_month, true))}`;
  return (
    <p className="words">
      <Rich words={`${stops}${goesOn}`} />
    </p>
  );
}
