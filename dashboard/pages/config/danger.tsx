/** What cannot be had back. */
import { useId } from "react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";

export function DangerTab({ view, onDiscard }: { view: InstanceView; onDiscard: () => void }) {
  const { t } = useReader();
  const id = useId();
  const words = t.config.danger;
  const may = view.actions.includes("discard");
  return (
    <div className="danger-zone">
      <h3 id={id}>{words.discard}</h3>
      <p>{words.discardWords}</p>
      <p className="sub">{may ? words.hibernateFirst : words.nothing}</p>
      <Button tone="danger" aria-describedby={id} disabled={!may} onClick={onDiscard}>
        {words.discardButton}
      </Button>
    </div>
  );
}
