/** A time zone by a part of its name: the browser's own list of suggestions searches. It holds as soon as it is one. */
import { useId, useMemo, useState } from "react";
import { read, useReader } from "../../i18n/context.tsx";
import { zoneWords } from "../../i18n/format.ts";
import { Button } from "../../ui/button.tsx";
import { useNow } from "../../ui/now.ts";

export function ZoneField() {
  const { t, f, zone, language, setZone } = useReader();
  const words = t.settings.you;
  const id = useId();
  const now = useNow(10_000);
  const zones = useMemo(() => ["UTC", ...Intl.supportedValuesOf("timeZone").filter((name) => name !== "UTC")], []);
  const [text, setText] = useState(() => read("soneca.zone") ?? "");
  const [isLeft, setIsLeft] = useState(false);
  const found = zoneIn(zones, text);
  const change = (next: string) => {
    setText(next);
    setIsLeft(false);
    if (next.trim() === "") setZone(null);
    const known = zoneIn(zones, next);
    if (known) setZone(known);
  };
  const isWrong = isLeft && text.trim() !== "" && !found;
  return (
    <div className="fld">
      <label htmlFor={id}>{words.zone}</label>
      <p id={`${id}-hint`}>
        {words.zoneHint(t.common.clockOf(f.clock(now).slice(0, 5), zoneWords(zone, language, now)))}
      </p>
      <div className="zone">
        <input
          id={id}
          className="field"
          list={`${id}-zones`}
          value={text}
          placeholder={words.zoneLikeBrowser}
          autoComplete="off"
          spellCheck={false}
          aria-invalid={isWrong || undefined}
          aria-describedby={isWrong ? `${id}-wrong` : `${id}-hint`}
          onChange={(event) => change(event.target.value)}
          onBlur={() => setIsLeft(true)}
        />
        <datalist id={`${id}-zones`}>
          {zones.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        {text !== "" && <Button onClick={() => change("")}>{words.zoneLikeBrowser}</Button>}
      </div>
      {isWrong && (
        <p id={`${id}-wrong`} className="full wrong" role="alert">
          {words.zoneWrong}
        </p>
      )}
    </div>
  );
}

function zoneIn(zones: readonly string[], text: string): string | undefined {
  const wanted = text.trim().replaceAll(" ", "_").toLowerCase();
  return zones.find((name) => name.toLowerCase() === wanted);
}
