/** The evidence: each signal, by what it is judged, and since when it has said so. */
import { Check, CircleAlert, CircleHelp, Minus } from "lucide-react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useNow } from "../../ui/now.ts";

type Signal = InstanceView["signals"][number];

const shownMs = 15 * 60_000;

export function Why({ view }: { view: InstanceView }) {
  const { t } = useReader();
  const words = t.instance.why;
  const judging = view.signals.filter((one) => one.enabled);
  const off = view.signals.filter((one) => !one.enabled && one.name !== "gpu_memory");
  return (
    <div className="why">
      <h3>{words.title}</h3>
      <div className="sig axis" aria-hidden="true">
        <i />
        <i />
        <span>
          <u>{words.past}</u>
          <u>{words.now}</u>
        </span>
        <i />
      </div>
      <ul>
        {judging.map((signal) => (
          <Row key={signal.name} signal={signal} />
        ))}
        <Leases view={view} />
        {off.length > 0 && (
          <li className="sig off">
            <Icon of={Minus} />
            <b>{off.map((one) => t.common.signal[one.name]).join(", ")}</b>
            <span />
            <span className="v">{words.notCounted}</span>
          </li>
        )}
      </ul>
    </div>
  );
}

const icons = { busy: CircleAlert, quiet: Check, unknown: CircleHelp };

function Row({ signal }: { signal: Signal }) {
  const { t, f } = useReader();
  const now = useNow(1_000);
  const { name, state, since } = signal;
  const past = since ? Math.min(1, Math.max(0, (now - Date.parse(since)) / shownMs)) : null;
  const lasts = since ? f.duration(now - Date.parse(since)) : null;
  const heard = lasts && (state === "quiet" ? t.instance.why.quietSince(lasts) : t.instance.why.busySince(lasts));
  return (
    <li className={`sig ${state}`}>
      <Icon of={icons[state]} />
      <b>
        {t.common.signal[name]}
        <span className="vh">: {t.common.signalState[state]}</span>
      </b>
      <span className="past" title={heard ?? undefined}>
        {past !== null && state !== "quiet" && <i style={{ left: `${100 * (1 - past)}%`, right: 0 }} />}
        {past !== null && state === "quiet" && past < 1 && (
          <i className="edge" style={{ left: `${100 * (1 - past)}%` }} />
        )}
      </span>
      <span className="v">
        <Value signal={signal} />
      </span>
    </li>
  );
}

function Value({ signal }: { signal: Signal }) {
  const { t, f } = useReader();
  const { name, value, threshold, state } = signal;
  const words = t.instance.why;
  if (state === "unknown") return words.notKnown;
  if (value === null) return words.none;
  switch (name) {
    case "gpu":
      return (
        <>
          <b>{f.percent(value)}</b>
          {threshold !== null && `, ${(state === "quiet" ? words.below : words.above)(f.percent(threshold))}`}
        </>
      );
    case "terminal":
      return (state === "quiet" ? words.noKey : words.key)(f.duration(value * 1000));
    case "jupyter":
      return words.kernels(f.number(value));
    case "traffic":
      return words.requests(f.number(value));
    case "cpu":
      return words.cores(f.percent(value));
    case "gpu_memory":
      return words.held(f.bytes(value * 1_048_576));
    default:
      return f.rate(value);
  }
}

function Leases({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const words = t.instance.why;
  const [last] = [...view.leases].sort((a, b) => b.until.localeCompare(a.until));
  return (
    <li className={`sig ${last ? "busy" : "quiet"}`}>
      <Icon of={last ? CircleAlert : Check} />
      <b>{words.keepAwake}</b>
      <span className="past" />
      <span className="v" title={last?.what ?? undefined}>
        {last ? words.until(f.moment(last.until, Date.now())) : words.noneSet}
      </span>
    </li>
  );
}
