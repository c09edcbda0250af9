/**
 * The ways out of a modal dialog that are not its own buttons: Esc, the gesture that goes back, a press beside it, and the
 * browser's Back. Each asks first. The browser itself would close it, at the second Esc even against a refusal, and leave the page
 * with a dialog that is neither open nor gone.
 */
import { type RefObject, useEffect, useRef } from "react";

/** Of dialogs that are open. Browsers call a window's listeners in turn: this one is there before the routes have theirs. */
const guards = new Set<() => void>();
window.addEventListener("popstate", () => {
  for (const guard of guards) guard();
});

interface Closing {
  /** False: it stays, and whoever said so asks. */
  mayLeave: () => boolean;
  onClose: () => void;
}

export function useClosing(box: RefObject<HTMLDialogElement | null>, { mayLeave, onClose }: Closing) {
  const leave = () => {
    if (mayLeave()) onClose();
  };
  const latest = useRef({ mayLeave, leave, address: "" });
  useEffect(() => {
    latest.current = { mayLeave, leave, address: location.href };
  });

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented || event.isComposing || !isOnTop(box.current)) return;
      event.preventDefault();
      latest.current.leave();
    };
    // Where it stays, the routes find the address as it was.
    const goBack = () => {
      const { address } = latest.current;
      if (location.href !== address && !latest.current.mayLeave()) history.pushState(null, "", address);
    };
    document.addEventListener("keydown", press);
    guards.add(goBack);
    return () => {
      document.removeEventListener("keydown", press);
      guards.delete(goBack);
    };
  }, [box]);

  const isPressedBeside = useRef(false);
  return {
    leave,
    /** Of the dialog itself. */
    handlers: {
      onCancel: (event: React.SyntheticEvent) => {
        event.preventDefault();
        leave();
      },
      onClose: () => {
        if (!box.current || box.current.open) return;
        box.current.showModal();
        leave();
      },
      // What begins inside, such as a selection of text, may end beside it.
      onPointerDown: (event: React.PointerEvent) => {
        isPressedBeside.current = event.target === box.current;
      },
      onClick: (event: React.MouseEvent) => {
        if (isPressedBeside.current && event.target === box.current) leave();
      },
    },
  };
}

/** Those above it, and menus within it, are closed first. */
function isOnTop(dialog: HTMLDialogElement | null): boolean {
  const open = [...document.querySelectorAll("dialog[open]")];
  return dialog !== null && open.at(-1) === dialog && dialog.querySelector(":popover-open") === null;
}
