/** A wake costs money, so its price stands on the button. The cheapest of the same GPU is chosen already: Enter wakes it. */
import { useQuery } from "@tanstack/react-query";
import { Sun } from "lucide-react";
import { type FormEvent, useId, useState } from "react";
import type { OfferView } from "../../../core/protocol/offers.ts";
import type { InstanceView, SnapshotView } from "../../../core/protocol/views.ts";
import { call } from "../../api/client.ts";
import { instanceQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useInstanceAction } from "../actions.ts";
import { MoneyField } from "./money-field.tsx";
import { Offers } from "./offers.tsx";

interface Props {
  id: string;
  name: string;
  /** An older one, to go back to. */
  snapshot?: SnapshotView;
  onClose: () => void;
}

export function WakeDialog({ id, name, snapshot, onClose }: Props) {
  const { t, f } = useReader();
  const { data: view, error } = useQuery(instanceQuery(id));
  const action = useInstanceAction(id);
  return (
    <Dialog
      title={t.wake.title(name)}
      lead={view && <Lead view={view} back={snapshot} />}
      isHeld={action.isBusy}
      onClose={onClose}
    >
      {view ? (
        <Form view={view} action={action} back={snapshot} onClose={onClose} />
      ) : (
        <div className="sec">
          {error ? <FailureNote error={error} /> : <div className="bone" style={{ width: "60%" }} />}
        </div>
      )}
      <span className="vh">{f.language}</span>
    </Dialog>
  );
}

function Lead({ view, back }: { view: InstanceView; back: SnapshotView | undefined }) {
  const { t, f } = useReader();
  const now = Date.now();
  if (back) return t.wake.leadBack(back.seq, f.moment(back.created_at, now));
  const { snapshot } = view;
  if (!snapshot) return t.wake.leadNew;
  const size = snapshot.plain_bytes === null ? t.common.unknown : f.bytes(snapshot.plain_bytes);
  return t.wake.lead(size, f.moment(snapshot.created_at, now));
}

const tryHours = [0, 1, 4, 12, 24];

interface FormProps {
  view: InstanceView;
  action: ReturnType<typeof useInstanceAction>;
  back: SnapshotView | undefined;
  onClose: () => void;
}

function Form({ view, action, back, onClose }: FormProps) {
  const { t, f } = useReader();
  const group = useId();
  const offers = useQuery({
    queryKey: ["offers", view.id],
    queryFn: () => call("listOffers", { query: { instance: view.id, limit: 12 } }),
    staleTime: 15_000,
  });
  const [chosen, setChosen] = useState<OfferView | null>(null);
  const [cap, setCap] = useState<number | null>(view.rent.max_micro_usd_per_hour);
  const [hours, setHours] = useState(0);
  const all = (offers.data?.offers ?? []).map((one) => ({
    ...one,
    is_over_price: cap !== null && one.micro_usd_per_hour > cap,
  }));
  const best = all.find((one) => one.is_usual && !one.is_over_price) ?? null;
  const others = all.filter((one) => one !== best);
  const taken = (chosen && all.find((one) => !one.is_over_price && sameOffer(one, chosen))) ?? best;
  const nearest = all.reduce<number | null>(
    (least, one) => Math.min(least ?? one.micro_usd_per_hour, one.micro_usd_per_hour),
    null,
  );
  const isStopped = view.stopped_machine !== null && !back;

  const wake = async (event: FormEvent) => {
    event.preventDefault();
    const body = {
      ...(taken && !taken.is_usual && { gpu_type: taken.gpu_type, region: taken.region }),
      ...(cap !== view.rent.max_micro_usd_per_hour && { max_micro_usd_per_hour: cap }),
      ...(hours > 0 && { keep_trying_minutes: hours * 60 }),
      ...(back && { snapshot: back.seq }),
    };
    const isTaken = await action.run(
      () => call("wakeInstance", { params: { id: view.id }, body }),
      t.instances.doing.wake(view.name),
    );
    if (isTaken) onClose();
  };

  return (
    <form className="dlg-form" onSubmit={wake}>
      <div className="sec scrolls">
        {isStopped && <p className="words">{t.wake.starts}</p>}
        {offers.error && <FailureNote error={offers.error} onRetry={offers.refetch} />}
        {offers.isPending && <div className="bone" style={{ height: 72, borderRadius: 14 }} />}
        {best && (
          <>
            <h3 className="h3">{t.wake.same}</h3>
            <Offers name={group} offers={[best]} chosen={taken} isBest onChoose={setChosen} />
          </>
        )}
        {offers.data && !best && (
          <p className="words" role="status">
            {all.length === 0 || nearest === null
              ? t.wake.noOfferAtAll
              : cap === null
                ? t.wake.noOfferAtAll
                : t.wake.noOfferNearest(f.perHour(cap), f.perHour(nearest))}
          </p>
        )}
        {others.length > 0 && (
          <details className="more-offers" open={!best}>
            <summary className="h3">
              {t.wake.others}
              <span>{t.wake.more(others.filter((one) => !one.is_over_price).length)}</span>
            </summary>
            <Offers name={group} offers={others} chosen={taken} onChoose={setChosen} />
          </details>
        )}
        <MoneyField label={t.wake.cap} hint={t.wake.capHint} value={cap} onChange={setCap} />
        <div className="fld">
          <label htmlFor={`${group}-try`}>{t.wake.keepTrying}</label>
          <p>{t.wake.keepTryingHint}</p>
          <select
            id={`${group}-try`}
            className="inp"
            value={hours}
            onChange={(event) => setHours(Number(event.target.value))}
          >
            {tryHours.map((count) => (
              <option key={count} value={count}>
                {count === 0 ? t.wake.never : t.wake.hours(count)}
              </option>
            ))}
          </select>
        </div>
        {taken && <Estimate view={view} offer={taken} />}
      </div>
      <footer>
        <span className="muted hide-s">{t.wake.billing}</span>
        <div className="end">
          <Button tone="ghost" onClick={onClose}>
            {t.common.action.notNow}
          </Button>
          <Button
            type="submit"
            tone="lamp"
            isBig
            isBusy={action.isBusy}
            disabled={!taken && !isStopped && hours === 0 && offers.data !== undefined}
          >
            <Icon of={Sun} />
            {back
              ? t.wake.submitBack
              : taken && !isStopped
                ? t.wake.submit(f.perHour(taken.micro_usd_per_hour))
                : t.wake.submitPlain}
          </Button>
        </div>
      </footer>
    </form>
  );
}

function sameOffer(a: OfferView, b: OfferView): boolean {
  return (
    a.gpu_type === b.gpu_type &&
    a.gpu_count === b.gpu_count &&
    a.region === b.region &&
    a.micro_usd_per_hour === b.micro_usd_per_hour
  );
}

const sessionHours = 3;

/** Only from what is known: its price, its traffic, and its own earlier wakes. */
function Estimate({ view, offer }: { view: InstanceView; offer: OfferView }) {
  const { t, f } = useReader();
  const stored = view.snapshot?.stored_bytes ?? null;
  const traffic =
    offer.down_micro_usd_per_gb !== null && stored !== null ? (offer.down_micro_usd_per_gb * stored) / 1e9 : null;
  return (
    <div className="est">
      <div>
        <span>{t.wake.storedDown}</span>
        <b>{stored === null ? "–" : f.bytes(stored)}</b>
        {traffic !== null && traffic > 0 && <span>{f.money(traffic, true)}</span>}
      </div>
      <div>
        <span>{t.wake.session}</span>
        <b>{f.money(sessionHours * offer.micro_usd_per_hour + (traffic ?? 0), true)}</b>
      </div>
    </div>
  );
}
