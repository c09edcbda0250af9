/** Which lines of an instance's log are told to its owner. One that repeats another within the same trouble is not. */
import type { State } from "../../core/lifecycle/types.ts";
import { type NoticeGroup, type NoticeType, noticeGroups } from "../../core/protocol/notices.ts";
import type { EventView } from "../../core/protocol/views.ts";

/** What is told, before it has words; kept as JSON until every channel has it. */
export interface Notice {
  type: NoticeType | "test";
  /** Null: of a test. */
  group: NoticeGroup | null;
  /** When it happened, epoch ms. */
  at: number;
  /** Number in the log of its instance. */
  seq: number | null;
  actor: string;
  /** Absent in those that were queued before there was any. */
  actorName?: string | null;
  reason: string | null;
  params: EventView["params"];
  instance: { id: string; name: string; gpu_type: string | null; region: string | null } | null;
}

const groupOf = new Map<string, NoticeGroup>(
  (Object.entries(noticeGroups) as [NoticeGroup, readonly string[]][]).flatMap(([group, types]) =>
    types.map((type): [string, NoticeGroup] => [type, group]),
  ),
);

/** Whether a line of this type may have to be told. */
export function mayBeTold(type: string): boolean {
  return groupOf.has(type);
}

/** `events`: as they follow each other in the log. */
export function noticesOf(state: Pick<State, "instance" | "name" | "spec">, events: readonly EventView[]): Notice[] {
  return events.flatMap((event, i) => {
    const group = groupOf.get(event.event_type);
    if (!group || isRepeat(event, events[i + 1])) return [];
    const { gpuType, region } = state.spec;
    return [
      {
        type: event.event_type as NoticeType,
        group,
        at: Date.parse(event.timestamp),
        seq: event.seq,
        actor: event.actor,
        actorName: event.actor_name,
        reason: event.reason,
        params: event.params,
        instance: { id: state.instance, name: state.name, gpu_type: gpuType, region },
      },
    ];
  });
}

/** `next`: what the log says directly after it. */
function isRepeat({ event_type, params, timestamp }: EventView, next: EventView | undefined): boolean {
  const triesOf = (one: EventView["params"]) => Number(one.tries ?? 0);
  switch (event_type) {
    // The log tells the first and then each tenth try. The first line is not of the first try where it was accepted.
    case "destroy_failed":
    case "stop_failed":
      return params.again === true;
    case "wake_failed": {
      if (!next || next.timestamp !== timestamp) return false;
      // Of a wake that goes on trying the first failure is told, and its end.
      const isLater = next.event_type === "wake_retry_planned" && triesOf(next.params) > 1;
      return isLater || (next.event_type === "wake_retries_ended" && triesOf(next.params) > 0);
    }
    case "wake_retries_ended":
      return triesOf(params) === 0;
    default:
      return false;
  }
}
