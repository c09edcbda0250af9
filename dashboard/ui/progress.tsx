/** A bar that says where it is in words, and speaks only each quarter of the way. */
import { useEffect, useRef } from "react";
import { useReader } from "../i18n/context.tsx";
import { useVoice } from "./toast.tsx";

interface Props {
  name: string;
  /** 0 to 1; null: not known. */
  share: number | null;
  text: string;
  announce: (name: string, percent: string) => string;
}

export function ProgressBar({ name, share, text, announce }: Props) {
  const { f } = useReader();
  const voice = useVoice();
  const said = useRef(0);
  const quarter = Math.floor((share ?? 0) * 4);
  useEffect(() => {
    if (quarter > said.current) voice.announce(announce(name, f.percent(quarter * 25)));
    said.current = quarter;
  }, [quarter, name, announce, f, voice]);
  return (
    <div
      className="bar"
      role="progressbar"
      aria-label={name}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={share === null ? undefined : Math.round(share * 100)}
      aria-valuetext={text}
    >
      <i style={{ width: `${100 * (share ?? 0)}%` }} />
    </div>
  );
}
