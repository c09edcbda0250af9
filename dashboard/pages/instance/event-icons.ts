import {
  Calendar,
  CircleDot,
  Database,
  Hourglass,
  type LucideIcon,
  Moon,
  Play,
  Server,
  Settings2,
  ShieldCheck,
  Sun,
  TriangleAlert,
  WifiOff,
} from "lucide-react";
import type { Tone } from "../../parts/status.tsx";

const rules: [RegExp, LucideIcon, Tone | ""][] = [
  [/failed|damaged|lost|vetoed|orphan|discarded/, TriangleAlert, "bad"],
  [/^unreachable/, WifiOff, "idle"],
  [/^idle_detected|sleep_soon|sleep_waits|keep_awake/, Hourglass, "idle"],
  [/active_again|reachable|hibernate_cancelled|sleep_postponed/, Play, "run"],
  [/^woke_up|^wake|^restore/, Sun, ""],
  [/hibernate|^deleted/, Moon, "sleep"],
  [/proved|verified|sealed/, ShieldCheck, "run"],
  [/snapshot|checkpoint|cop(y|ied)|rolled_back/, Database, ""],
  [/machine|rival|start|stop|destroy/, Server, ""],
  [/schedule/, Calendar, ""],
  [/config|renamed|hook/, Settings2, ""],
];

export function eventIcon(type: string): { icon: LucideIcon; tone: string } {
  const [, icon, tone] = rules.find(([pattern]) => pattern.test(type)) ?? [null, CircleDot, ""];
  return { icon, tone };
}
