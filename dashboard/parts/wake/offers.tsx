/** Offers to choose among: price, place, how reliable. One that costs more than one may pay cannot be chosen. */
import type { OfferView } from "../../../core/protocol/offers.ts";
import { useReader } from "../../i18n/context.tsx";

interface Props {
  name: string;
  offers: readonly OfferView[];
  chosen: OfferView | null;
  isBest?: boolean;
  onChoose: (offer: OfferView) => void;
}

export function Offers({ name, offers, chosen, isBest, onChoose }: Props) {
  return (
    <div className={isBest ? "" : "offers"}>
      {offers.map((offer) => (
        <Offer
          key={keyOf(offer)}
          name={name}
          offer={offer}
          isChosen={chosen !== null && keyOf(chosen) === keyOf(offer)}
          isBest={isBest ?? false}
          onChoose={() => onChoose(offer)}
        />
      ))}
    </div>
  );
}

export function keyOf(offer: OfferView): string {
  return [offer.gpu_type, offer.gpu_count, offer.region, offer.micro_usd_per_hour, offer.reliability].join("|");
}

interface OfferProps {
  name: string;
  offer: OfferView;
  isChosen: boolean;
  isBest: boolean;
  onChoose: () => void;
}

function Offer({ name, offer, isChosen, isBest, onChoose }: OfferProps) {
  const { t, f } = useReader();
  const { gpu_type, gpu_count, gpu_ram_mb, region, reliability, verified, micro_usd_per_hour, is_over_price } = offer;
  const down = offer.down_micro_usd_per_gb;
  return (
    <label className={`offer${isBest ? " best" : ""}${is_over_price ? " over" : ""}`}>
      <input
        type="radio"
        className="radio"
        name={name}
        checked={isChosen}
        disabled={is_over_price}
        onChange={onChoose}
      />
      <span>
        <span className="nm">
          {t.instance.gpus(gpu_count, gpu_type)} {f.number(Math.round((gpu_ram_mb * gpu_count) / 1024))}&nbsp;GB
        </span>
        <span className="sub">{region}</span>
      </span>
      <span className="m">
        {reliability === null ? "–" : t.wake.reliable(f.percent(100 * reliability, 1))}
        <span>{verified ? "" : t.wake.unverified}</span>
      </span>
      <span className="m hide-s">{down === null ? "–" : t.wake.down(f.money(down, true))}</span>
      <span className="price num">
        {f.money(micro_usd_per_hour, true)}
        <small>{t.common.perHour}</small>
        {is_over_price && <span className="sub">{t.wake.overCap}</span>}
      </span>
    </label>
  );
}
