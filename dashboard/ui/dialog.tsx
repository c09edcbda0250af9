/**
 * The browser's own modal dialog: it keeps the focus inside, makes the rest inert and gives the focus back. Esc and a press
 * beside it close it, unless something in it would be lost.
 */
import { X } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef } from "react";
import { useReader } from "../i18n/context.tsx";
import { Button } from "./button.tsx";
import { Icon } from "./icon.tsx";

interface Props {
  title: string;
  lead?: ReactNode;
  isWide?: boolean;
  isAlert?: boolean;
  /** Asked before it closes by Esc, the cross or a press beside it. False keeps it open. */
  mayClose?: () => boolean;
  onClose: () => void;
  children: ReactNode;
}

export function Dialog({ title, lead, isWide, isAlert, mayClose, onClose, children }: Props) {
  const { t } = useReader();
  const box = useRef<HTMLDialogElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const titleId = useId();
  useEffect(() => {
    const dialog = box.current!;
    const before = document.activeElement;
    if (!dialog.open) dialog.showModal();
    // What it is about comes first, and not the way out of it; unless something in it asked for the focus.
    if (document.activeElement === dialog.querySelector("header .btn")) heading.current?.focus();
    document.documentElement.classList.add("has-dialog");
    return () => {
      dialog.close();
      // Another may lie below.
      document.documentElement.classList.toggle("has-dialog", document.querySelector("dialog[open]") !== null);
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  const close = () => {
    if (!mayClose || mayClose()) onClose();
  };
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Esc is the dialog's own key for it
    <dialog
      ref={box}
      className={`dlg${isWide ? " wide" : ""}`}
      aria-labelledby={titleId}
      role={isAlert ? "alertdialog" : undefined}
      onCancel={(event) => {
        event.preventDefault();
        close();
      }}
      onClick={(event) => {
        if (event.target === box.current) close();
      }}
    >
      <div className="dlg-in">
        <header>
          <div>
            <h2 id={titleId} ref={heading} tabIndex={-1}>
              {title}
            </h2>
            {lead && <p>{lead}</p>}
          </div>
          <Button tone="ghost" isIcon aria-label={t.common.action.close} onClick={close}>
            <Icon of={X} />
          </Button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
