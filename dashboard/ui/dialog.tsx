/**
 * The browser's own modal dialog: it keeps the focus inside, makes the rest inert and gives the focus back. Esc, Back and a press
 * beside it close it, unless something in it would be lost.
 */
import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";
import { useReader } from "../i18n/context.tsx";
import { Button } from "./button.tsx";
import { useClosing } from "./closing.ts";
import { Icon } from "./icon.tsx";

interface Props {
  title: string;
  lead?: ReactNode;
  isWide?: boolean;
  isAlert?: boolean;
  /** Asked before it closes by Esc, Back, the cross or a press beside it. False keeps it open. */
  mayClose?: () => boolean;
  /** Only its own buttons close it: something that is shown once stands in it, or an answer is awaited. */
  isHeld?: boolean;
  onClose: () => void;
  children: ReactNode;
}

export function Dialog({ title, lead, isWide, isAlert, mayClose, isHeld, onClose, children }: Props) {
  const { t } = useReader();
  const box = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const titleId = useId();
  useEffect(() => {
    const dialog = box.current!;
    const before = document.activeElement;
    if (!dialog.open) dialog.showModal();
    // What it is about comes first, and not the way out of it; unless something in it asked for the focus.
    if (!dialog.querySelector("[autofocus]")) heading.current?.focus();
    document.documentElement.classList.add("has-dialog");
    return () => {
      dialog.close();
      // Another may lie below.
      document.documentElement.classList.toggle("has-dialog", document.querySelector("dialog[open]") !== null);
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const { leave, handlers } = useClosing(box, {
    mayLeave: () => !isHeld && (!mayClose || mayClose()),
    onClose,
  });
  return (
    <dialog
      ref={box}
      className={`dlg${isWide ? " wide" : ""}`}
      aria-labelledby={titleId}
      role={isAlert ? "alertdialog" : undefined}
      {...handlers}
    >
      <div className="dlg-in">
        <header>
          <div>
            <h2 id={titleId} ref={heading} tabIndex={-1}>
              {title}
            </h2>
            {lead && <p>{lead}</p>}
          </div>
          <Button
            tone="ghost"
            isIcon
            aria-label={t.common.action.close}
            // Its place stays, so that nothing moves.
            style={isHeld ? { visibility: "hidden" } : undefined}
            onClick={leave}
          >
            <Icon of={X} />
          </Button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
