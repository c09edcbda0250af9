/** How channels and deliveries look to people. */
import {
  type ChannelView,
  type DeliveryCode,
  type DeliveryView,
  groupNames,
  type NoticeGroup,
} from "../core/protocol/notices.ts";
import { eventWord } from "./event-words.ts";
import { formatTable, formatTime } from "./format.ts";

const groupWords: Record<NoticeGroup, string> = {
  wake_failed: "failed wakes",
  snapshot_failed: "failed snapshots",
  machine_stuck: "machines that do not end",
  trouble: "lost contact, lost machines",
  sleep_soon: "sleeps that come soon",
  slept: "sleeps",
  woke: "wakes",
  deleted: "deleted instances",
};

export function groupsHelp(groups: readonly NoticeGroup[]): string {
  return groups.map((group) => groupWords[group]).join(", ");
}

const codeWords: Record<DeliveryCode, string> = {
  timeout: "no answer within ten seconds",
  unreachable: "could not be reached",
  status: "refused",
  redirected: "points elsewhere, which is not followed",
  gone: "gone; the channel is switched off",
  address: "may not be called from here",
  secret: "its address cannot be read any more; set it again",
  no_email: "this deployment sends no e-mail",
  email: "the mail was not taken",
};

export function channelTable(channels: readonly ChannelView[], now: number): string {
  if (channels.length === 0) return "No channels. Add one: soneca channel add ntfy https://ntfy.sh/your-topic";
  const rows = channels.map((one) => [
    one.id,
    one.name,
    one.kind,
    one.target,
    one.groups.length === groupNames.length ? "all" : one.groups.join(","),
    one.instances === null ? "all" : one.instances.join(","),
    stateWords(one, now),
  ]);
  return formatTable(["ID", "NAME", "KIND", "TO", "EVENTS", "INSTANCES", "STATE"], rows);
}

function stateWords({ off, last }: ChannelView, now: number): string {
  if (off === "gone") return "off: its address is gone";
  if (off === "user") return "off";
  if (last === null) return "on";
  return `on, ${last.state} ${formatTime(last.created_at, now)}`;
}

export function deliveryTable(deliveries: readonly DeliveryView[], now: number): string {
  if (deliveries.length === 0) return "Nothing was told to it lately.";
  const rows = deliveries.map((one) => [
    formatTime(one.created_at, now),
    one.instance_name ?? "-",
    one.event_type === "test" ? "Test notice" : eventWord(one.event_type),
    String(one.tries),
    deliveryWords(one, now),
  ]);
  return formatTable(["TIME", "INSTANCE", "WHAT", "TRIES", "HOW IT WENT"], rows);
}

export function deliveryWords(one: DeliveryView, now: number): string {
  const { event_type, state, code, status, answer, took_ms, next_try_at, tries } = one;
  const answered = status === null ? "" : ` (${status})`;
  const took = took_ms === null ? "" : ` in ${took_ms} ms`;
  if (state === "delivered") return `delivered${answered}${took}`;
  if (tries === 0) return next_try_at ? `waits until ${formatTime(next_try_at, now)}` : codeText(code);
  const says = answer === null ? "" : `: ${answer}`;
  const failed = `${codeText(code)}${answered}${says}`;
  // A test is one try.
  if (event_type === "test") return failed;
  return `${failed}; ${next_try_at === null ? "given up" : `again at ${formatTime(next_try_at, now)}`}`;
}

function codeText(code: DeliveryCode | null): string {
  return code === null ? "waits" : codeWords[code];
}
