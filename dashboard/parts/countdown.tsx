import { useReader } from "../i18n/context.tsx";
import { useNow } from "../ui/now.ts";

/** Counts down by itself; a screen reader is not told each second. */
export function Countdown({ to }: { to: string }) {
  const { f } = useReader();
  const now = useNow(500);
  return (
    <time dateTime={to} title={f.full(to)}>
      {f.countdown(Date.parse(to) - now)}
    </time>
  );
}

/** Counts up, as rough as a reader needs it. */
export function Since({ at, words }: { at: string; words: (duration: string) => string }) {
  const { f } = useReader();
  const now = useNow(1_000);
  return (
    <time dateTime={at} title={f.full(at)}>
      {words(f.duration(Math.max(0, now - Date.parse(at))))}
    </time>
  );
}
