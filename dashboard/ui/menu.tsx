/**
 * A menu of actions behind three dots. The browser's own popover closes it with Esc or a press beside it and keeps it above
 * everything; the arrow keys are ours.
 */
import { Ellipsis, type LucideIcon } from "lucide-react";
import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { Icon } from "./icon.tsx";

export interface MenuItem {
  label: string;
  icon?: LucideIcon;
  isDanger?: boolean;
  onSelect: () => void;
}

interface Props {
  label: string;
  items: (MenuItem | false)[];
  tone?: "ghost" | "plain";
}

export function Menu({ label, items, tone = "ghost" }: Props) {
  const shown = items.filter((item) => item !== false);
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const [isOpen, setIsOpen] = useState(false);
  if (shown.length === 0) return null;
  return (
    <>
      <button
        ref={button}
        type="button"
        className={`btn icon${tone === "ghost" ? " ghost" : ""}`}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        popoverTarget={id}
        onKeyDown={(event) => {
          if (event.key !== "ArrowDown" || isOpen) return;
          event.preventDefault();
          document.getElementById(id)?.showPopover();
        }}
      >
        <Icon of={Ellipsis} />
      </button>
      <List id={id} label={label} items={shown} button={button} onToggle={setIsOpen} />
    </>
  );
}

interface ListProps {
  id: string;
  label: string;
  items: MenuItem[];
  button: React.RefObject<HTMLButtonElement | null>;
  onToggle: (isOpen: boolean) => void;
}

function List({ id, label, items, button, onToggle }: ListProps) {
  const list = useRef<HTMLDivElement>(null);
  const [isOpen, setIsOpen] = useState(false);
  useEffect(() => {
    if (!isOpen) return;
    const place = () => placeBelow(list.current!, button.current!);
    place();
    itemsOf(list.current!)[0]?.focus();
    const close = () => list.current?.hidePopover();
    addEventListener("resize", close);
    addEventListener("scroll", place, { capture: true, passive: true });
    return () => {
      removeEventListener("resize", close);
      removeEventListener("scroll", place, { capture: true });
    };
  }, [isOpen, button]);
  const press = (event: KeyboardEvent) => {
    const all = itemsOf(list.current!);
    const at = all.indexOf(document.activeElement as HTMLElement);
    const next = nextItem(event.key, at, all);
    if (next) {
      event.preventDefault();
      next.focus();
    } else if (event.key === "Tab") list.current?.hidePopover();
  };
  return (
    <div
      ref={list}
      id={id}
      popover="auto"
      className="menu"
      role="menu"
      tabIndex={-1}
      aria-label={label}
      onToggle={(event) => {
        const isNow = (event.nativeEvent as ToggleEvent).newState === "open";
        setIsOpen(isNow);
        onToggle(isNow);
      }}
      onKeyDown={press}
    >
      {isOpen &&
        items.map((item) => (
          <button
            key={item.label}
            type="button"
            role="menuitem"
            tabIndex={-1}
            className={`menu-item${item.isDanger ? " danger" : ""}`}
            onPointerMove={(event) => event.currentTarget.focus()}
            onClick={() => {
              list.current?.hidePopover();
              button.current?.focus();
              item.onSelect();
            }}
          >
            {item.icon && <Icon of={item.icon} />}
            {item.label}
          </button>
        ))}
    </div>
  );
}

function itemsOf(list: HTMLElement): HTMLElement[] {
  return [...list.querySelectorAll<HTMLElement>("[role=menuitem]")];
}

function nextItem(key: string, at: number, all: HTMLElement[]): HTMLElement | undefined {
  switch (key) {
    case "ArrowDown":
      return all[(at + 1) % all.length];
    case "ArrowUp":
      return all[(at - 1 + all.length) % all.length];
    case "Home":
      return all[0];
    case "End":
      return all.at(-1);
    default: {
      if (key.length !== 1) return undefined;
      const isIts = (one: HTMLElement) => one.textContent?.toLocaleLowerCase().startsWith(key.toLocaleLowerCase());
      return [...all.slice(at + 1), ...all.slice(0, at + 1)].find(isIts);
    }
  }
}

/** Below its button, or above it where there is no room; never beyond the page. */
function placeBelow(list: HTMLElement, button: HTMLElement): void {
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = list;
  const left = Math.min(Math.max(8, at.right - width), innerWidth - width - 8);
  const isAbove = at.bottom + 6 + height > innerHeight && at.top - 6 - height > 0;
  list.style.left = `${left}px`;
  list.style.top = `${isAbove ? at.top - 6 - height : at.bottom + 6}px`;
}
