import { Search } from "lucide-react";
import { type RefObject, useDeferredValue } from "react";
import type { InstanceSummary } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { looks } from "../../parts/status.tsx";
import { Icon } from "../../ui/icon.tsx";
import { type Chip, chipOf, chips } from "./groups.ts";

interface Props {
  rows: readonly InstanceSummary[];
  text: string;
  chip: Chip | null;
  field: RefObject<HTMLInputElement | null>;
  onText: (text: string) => void;
  onChip: (chip: Chip | null) => void;
}

export function Filters({ rows, text, chip, field, onText, onChip }: Props) {
  const { t, f } = useReader();
  const counted = useDeferredValue(rows);
  const count = (one: Chip) => counted.filter((row) => chipOf(row) === one).length;
  return (
    <div className="filters" role="group" aria-label={t.instances.filter}>
      <label className="search">
        <Icon of={Search} />
        <span className="vh">{t.instances.find}</span>
        <input
          ref={field}
          type="search"
          value={text}
          placeholder={t.instances.find}
          onChange={(event) => onText(event.target.value)}
        />
        <kbd>/</kbd>
      </label>
      <button type="button" className="chip" aria-pressed={chip === null} onClick={() => onChip(null)}>
        {t.instances.all} <b>{f.number(rows.length)}</b>
      </button>
      {chips
        .filter((one) => count(one) > 0 || one === chip)
        .map((one) => {
          const { tone, icon } = looks[one === "moving" ? "waking" : one];
          return (
            <button
              key={one}
              type="button"
              className={`chip ${tone}`}
              aria-pressed={chip === one}
              onClick={() => onChip(chip === one ? null : one)}
            >
              <Icon of={icon} />
              {one === "moving" ? t.instances.moving : t.common.status[one]} <b>{f.number(count(one))}</b>
            </button>
          );
        })}
    </div>
  );
}
