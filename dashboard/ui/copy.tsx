import { Check, Copy } from "lucide-react";
import { useState } from "react";
import { useReader } from "../i18n/context.tsx";
import { Icon } from "./icon.tsx";
import { useVoice } from "./toast.tsx";

export function CopyButton({ text, label, isWordy }: { text: string; label?: string; isWordy?: boolean }) {
  const { t } = useReader();
  const voice = useVoice();
  const [isDone, setIsDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setIsDone(true);
    voice.announce(t.common.action.copied);
    setTimeout(() => setIsDone(false), 2_000);
  };
  const word = isDone ? t.common.action.copied : (label ?? t.common.action.copy);
  return (
    <button
      type="button"
      className={`btn${isWordy ? "" : " ghost icon small"}`}
      aria-label={isWordy ? undefined : word}
      onClick={copy}
    >
      <Icon of={isDone ? Check : Copy} />
      {isWordy && word}
    </button>
  );
}

/** A command to be pasted elsewhere. */
export function Command({ text, label }: { text: string; label: string }) {
  return (
    <div className="code">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it */}
      <code tabIndex={0} role="group" aria-label={label}>
        {text}
      </code>
      <CopyButton text={text} isWordy />
    </div>
  );
}
