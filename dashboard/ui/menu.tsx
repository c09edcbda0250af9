/** A menu of actions behind three dots. */
import * as Radix from "@radix-ui/react-dropdown-menu";
import { Ellipsis, type LucideIcon } from "lucide-react";
import { Icon } from "./icon.tsx";

export interface MenuItem {
  label: string;
  icon?: LucideIcon;
  isDanger?: boolean;
  onSelect: () => void;
}

export function Menu({
  label,
  items,
  tone = "ghost",
}: {
  label: string;
  items: (MenuItem | false)[];
  tone?: "ghost" | "plain";
}) {
  const shown = items.filter((item) => item !== false);
  if (shown.length === 0) return null;
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger className={`btn icon${tone === "ghost" ? " ghost" : ""}`} aria-label={label}>
        <Icon of={Ellipsis} />
      </Radix.Trigger>
      <Radix.Portal>
        <Radix.Content className="menu" align="end" sideOffset={6} collisionPadding={8}>
          {shown.map((item) => (
            <Radix.Item
              key={item.label}
              className={`menu-item${item.isDanger ? " danger" : ""}`}
              onSelect={() => setTimeout(item.onSelect)}
            >
              {item.icon && <Icon of={item.icon} />}
              {item.label}
            </Radix.Item>
          ))}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
