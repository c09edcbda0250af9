/** Short words at the edge of the page, for what it does not show elsewhere; and the one region that speaks to screen readers. */
import { CircleCheck, TriangleAlert, X } from "lucide-react";
import { createContext, type ReactNode, use, useCallback, useMemo, useRef, useState } from "react";
import { useReader } from "../i18n/context.tsx";
import { Button } from "./button.tsx";
import { Icon } from "./icon.tsx";

interface Toast {
  id: number;
  kind: "done" | "failed";
  title: string;
  more?: ReactNode;
}

interface Voice {
  /** Only heard. */
  announce(words: string): void;
  done(title: string, more?: ReactNode): void;
  failed(title: string, more?: ReactNode): void;
}

const Context = createContext<Voice | null>(null);
const shownMs = { done: 6_000, failed: 15_000 };

export function VoiceProvider({ children }: { children: ReactNode }) {
  const { t } = useReader();
  const [toasts, setToasts] = useState<Toast[]>([]);
  const [said, setSaid] = useState("");
  const nextId = useRef(1);
  const remove = useCallback((id: number) => setToasts((all) => all.filter((one) => one.id !== id)), []);
  const show = useCallback(
    (kind: Toast["kind"], title: string, more?: ReactNode) => {
      const id = nextId.current++;
      setToasts((all) => [...all.slice(-3), { id, kind, title, more }]);
      setTimeout(() => remove(id), shownMs[kind]);
    },
    [remove],
  );
  const voice = useMemo<Voice>(
    () => ({
      announce: (words) => setSaid(words),
      done: (title, more) => show("done", title, more),
      failed: (title, more) => show("failed", title, more),
    }),
    [show],
  );
  return (
    <Context value={voice}>
      {children}
      <div className="vh" aria-live="polite">
        {said}
      </div>
      <section className="toasts" aria-live="polite" aria-relevant="additions">
        {toasts.map((toast) => (
          <div key={toast.id} className={`toast ${toast.kind}`}>
            <Icon of={toast.kind === "done" ? CircleCheck : TriangleAlert} />
            <div>
              <b>{toast.title}</b>
              {toast.more && <div className="sub">{toast.more}</div>}
            </div>
            <Button tone="ghost" isIcon aria-label={t.common.action.close} onClick={() => remove(toast.id)}>
              <Icon of={X} />
            </Button>
          </div>
        ))}
      </section>
    </Context>
  );
}

export function useVoice(): Voice {
  const voice = use(Context);
  if (!voice) throw new Error("outside of VoiceProvider");
  return voice;
}
