/** A time zone: chosen from a list that is searched by city, by the zone's own name or by its offset. */
import { Globe } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useId, useState } from "react";
import { useReader } from "../i18n/context.tsx";
import { zoneWords } from "../i18n/format.ts";
import { Icon } from "../ui/icon.tsx";

interface Props {
  zone: string;
  hint: ReactNode;
  onChange: (zone: string) => void;
  /** Beside the field. */
  children?: ReactNode;
}

const mostShown = 40;

export function ZoneField({ zone, hint, onChange, children }: Props) {
  const { t, language, zone: own } = useReader();
  const words = t.schedule;
  const id = useId();
  /** Null: the list is closed. */
  const [typed, setTyped] = useState<string | null>(null);
  const [active, setActive] = useState(0);
  const found = typed === null ? [] : zonesLike(typed, own, zone);
  const wordsOf = (name: string) => zoneWords(name, language, Date.now());
  const choose = (name: string | undefined) => {
    if (name) onChange(name);
    setTyped(null);
  };
  const press = (event: KeyboardEvent) => {
    const { key } = event;
    if (key === "Escape" && typed !== null) {
      event.preventDefault();
      event.stopPropagation();
      setTyped(null);
    } else if (key === "ArrowDown" || key === "ArrowUp") {
      event.preventDefault();
      if (typed === null) setTyped("");
      else setActive(Math.max(0, Math.min(found.length - 1, active + (key === "ArrowDown" ? 1 : -1))));
    } else if (key === "Enter" && typed !== null) {
      event.preventDefault();
      choose(found[active]);
    }
  };
  return (
    <div className="fld below zone">
      <label htmlFor={id}>{words.zone}</label>
      <p id={`${id}-hint`}>{hint}</p>
      <div className="full">
        <span className="inp">
          <Icon of={Globe} />
          <input
            id={id}
            role="combobox"
            aria-expanded={found.length > 0}
            aria-controls={`${id}-list`}
            aria-autocomplete="list"
            aria-activedescendant={typed !== null && found.length > 0 ? `${id}-${active}` : undefined}
            aria-describedby={`${id}-hint`}
            autoComplete="off"
            spellCheck={false}
            placeholder={words.zoneSearch}
            value={typed ?? wordsOf(zone)}
            onClick={() => typed === null && setTyped("")}
            onChange={(event) => {
              setTyped(event.target.value);
              setActive(0);
            }}
            onKeyDown={press}
            onBlur={() => setTyped(null)}
          />
        </span>
        {children}
        <div id={`${id}-list`} role="listbox" aria-label={words.zone} hidden={found.length === 0}>
          {found.map((name, i) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the field above has the keys
            // biome-ignore lint/a11y/useFocusableInteractive: the focus stays in the field
            <div
              key={name}
              id={`${id}-${i}`}
              role="option"
              aria-selected={i === active}
              ref={i === active ? (row: HTMLElement | null) => row?.scrollIntoView({ block: "nearest" }) : undefined}
              onPointerDown={(event) => event.preventDefault()}
              onClick={() => choose(name)}
            >
              <span>{wordsOf(name)}</span>
              <span className="muted">{name}</span>
            </div>
          ))}
        </div>
        {typed !== null && found.length === 0 && <p role="status">{words.zoneNone}</p>}
      </div>
    </div>
  );
}

function zonesLike(text: string, own: string, present: string): string[] {
  const plain = (one: string) =>
    one
      .normalize("NFD")
      .replace(/[\u0300-\u036f]/g, "")
      .replaceAll("_", " ")
      .replace("−", "-")
      .toLowerCase();
  const wanted = plain(text.trim());
  const all = [...new Set([own, present, "UTC", ...Intl.supportedValuesOf("timeZone")])];
  const byName = all.filter((name) => plain(name).includes(wanted));
  if (byName.length > 0 || !/^(utc|gmt)?\s*[+-]?\d/.test(wanted)) return byName.slice(0, mostShown);
  const offset = wanted.replace(/^gmt/, "utc").replaceAll(" ", "");
  return all.filter((name) => plain(zoneWords(name, "en", Date.now())).includes(offset)).slice(0, mostShown);
}
