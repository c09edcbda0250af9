/** The words of a state with its icon and its tone: always all three. */
import { Archive, Hourglass, LoaderCircle, type LucideIcon, Moon, Play, TriangleAlert, WifiOff } from "lucide-react";
import type { ReactNode } from "react";
import type { InstanceView } from "../../core/protocol/views.ts";
import { useReader } from "../i18n/context.tsx";
import { Icon } from "../ui/icon.tsx";

export type Status = InstanceView["status"];
export type Tone = "run" | "idle" | "move" | "sleep" | "bad" | "gone";

export const looks: Record<Status, { tone: Tone; icon: LucideIcon; spins?: boolean }> = {
  running: { tone: "run", icon: Play },
  idle: { tone: "idle", icon: Hourglass },
  hibernating: { tone: "move", icon: LoaderCircle, spins: true },
  hibernated: { tone: "sleep", icon: Moon },
  waking: { tone: "move", icon: LoaderCircle, spins: true },
  deleted: { tone: "gone", icon: Archive },
  unreachable: { tone: "idle", icon: WifiOff },
  failed: { tone: "bad", icon: TriangleAlert },
};

export function StatusBadge({ status, children }: { status: Status; children?: ReactNode }) {
  const { t } = useReader();
  const { tone, icon, spins } = looks[status];
  return (
    <span className={`st ${tone}`}>
      <Icon of={icon} spin={spins} />
      {children ?? t.common.status[status]}
    </span>
  );
}
