/** The name of a setting as its field has it, for where it is named elsewhere. */
import type { SignalName } from "../../../core/protocol/signals.ts";
import type { Words } from "../../i18n/en.ts";
import type { SettingName } from "./form.ts";

type Fixed = Exclude<SettingName, `signals.${string}` | "proxy.kept_body_bytes">;

export function settingWords(name: SettingName, t: Words): string {
  const [group, part] = name.split(".");
  if (group === "signals") return t.common.signal[part as SignalName];
  const { idle, snapshot, service } = t.config;
  const words: Record<Fixed, string> = {
    enabled: idle.enabled,
    gpu_usage_threshold: idle.threshold,
    pause_after_idle_minutes: idle.afterLabel,
    pause_mode: idle.mode,
    grace_minutes: idle.grace,
    not_now_minutes: idle.notNow,
    keep_awake_max_hours: idle.keepAwake,
    delete_after_pause_minutes: idle.deleted,
    check_interval_seconds: idle.interval,
    "checkpoint.enabled": snapshot.enabled,
    "checkpoint.interval_minutes": `${snapshot.enabled}: ${snapshot.interval}`,
    "checkpoint.min_change_mb": `${snapshot.enabled}: ${snapshot.least}`,
    "retention.keep_newest": snapshot.newest,
    "retention.keep_days": snapshot.days,
    "hooks.before_sleep": snapshot.before,
    "hooks.after_wake": snapshot.afterWake,
    "hooks.timeout_seconds": snapshot.timeout,
    wake_method: service.method,
    "proxy.access": service.access,
    "proxy.port": service.port,
    "proxy.more_ports": service.morePorts,
    "proxy.keep_prefix": service.prefix,
    "proxy.wake_methods": service.requestMethods,
    "proxy.wake_paths": service.wakePaths,
    "proxy.quiet_paths": service.quietPaths,
    "proxy.wakes_per_hour": service.wakesPerHour,
    "proxy.max_micro_usd_per_day": service.money,
    "proxy.hold_seconds": service.hold,
    schedule: t.schedule.windows,
  };
  return words[name as Fixed] ?? name;
}
