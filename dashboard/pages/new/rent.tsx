/** What to rent, with its price before anything is rented. */
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useDeferredValue, useState } from "react";
import { call } from "../../api/client.ts";
import { Failure } from "../../api/failure.ts";
import { useReader } from "../../i18n/context.tsx";
import { MoneyField } from "../../parts/wake/money-field.tsx";
import { Offers } from "../../parts/wake/offers.tsx";
import { Button } from "../../ui/button.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { useCreate } from "./create.ts";
import { SelectField, TextField } from "./fields.tsx";

/** As the API knows them: groups of countries. */
const regions = ["EU", "NA", "SA", "AS", "AF", "OC", "US", "BR", "DE", "SE", "NO"];
const idleChoices = ["3", "10", "30", "auto"];

interface Wanted {
  name: string;
  gpuType: string;
  gpuCount: number;
  region: string;
  image: string;
  diskGb: number;
  idle: string;
  cap: number | null;
}

const first: Wanted = { name: "", gpuType: "", gpuCount: 1, region: "", image: "", diskGb: 50, idle: "3", cap: null };

export function Rent() {
  const { t, f } = useReader();
  const [wanted, setWanted] = useState(first);
  const { create, error, isBusy } = useCreate();
  const change = (part: Partial<Wanted>) => setWanted((before) => ({ ...before, ...part }));
  const offers = useOffers(wanted);
  const types = useGpuTypes();
  const all = (offers.data?.offers ?? []).map((one) => ({
    ...one,
    is_over_price: wanted.cap !== null && one.micro_usd_per_hour > wanted.cap,
  }));
  const best = all.find((one) => !one.is_over_price && isWanted(one.gpu_type, wanted)) ?? null;
  const issue = (path: string) =>
    error instanceof Failure
      ? error.issues.find((one) => one.path === path || one.path.startsWith(`${path}.`))?.message
      : undefined;
  const idleWords = wanted.idle === "auto" ? t.fresh.sleepsAuto : t.fresh.minutes(Number(wanted.idle));

  const submit = (event: FormEvent) => {
    event.preventDefault();
    void create({
      ...(wanted.name.trim() && { name: wanted.name.trim() }),
      ...(wanted.gpuType.trim() && { gpu_type: wanted.gpuType.trim() }),
      gpu_count: wanted.gpuCount,
      ...(wanted.region.trim() && { region: wanted.region.trim() }),
      ...(wanted.image.trim() && { image: wanted.image.trim() }),
      disk_gb: wanted.diskGb,
      ...(wanted.cap !== null && { max_micro_usd_per_hour: wanted.cap }),
      auto_hibernation: { pause_after_idle_minutes: wanted.idle === "auto" ? "auto" : Number(wanted.idle) },
    });
  };

  return (
    <form className="rent" onSubmit={submit}>
      <p className="ink2">{t.fresh.rentWords}</p>
      <div className="grid-form">
        <TextField
          label={t.fresh.name}
          value={wanted.name}
          placeholder={t.fresh.namePlaceholder}
          maxLength={80}
          autoComplete="off"
          error={issue("name")}
          onChange={(event) => change({ name: event.target.value })}
        />
        <TextField
          label={t.fresh.gpu}
          value={wanted.gpuType}
          placeholder={t.fresh.anyGpu}
          options={types}
          autoComplete="off"
          error={issue("gpu_type")}
          onChange={(event) => change({ gpuType: event.target.value })}
        />
        <TextField
          label={t.fresh.count}
          type="number"
          min={1}
          max={64}
          required
          value={wanted.gpuCount}
          error={issue("gpu_count")}
          onChange={(event) => change({ gpuCount: Number(event.target.value) })}
        />
        <TextField
          label={t.fresh.region}
          value={wanted.region}
          placeholder={t.fresh.anywhere}
          options={regions}
          maxLength={2}
          pattern="[A-Za-z]{2}"
          autoComplete="off"
          error={issue("region")}
          onChange={(event) => change({ region: event.target.value.toUpperCase() })}
        />
        <TextField
          label={t.fresh.disk}
          type="number"
          min={8}
          max={20_000}
          required
          unit="GB"
          value={wanted.diskGb}
          error={issue("disk_gb")}
          onChange={(event) => change({ diskGb: Number(event.target.value) })}
        />
        <SelectField label={t.fresh.sleeps} value={wanted.idle} onChange={(idle) => change({ idle })}>
          {idleChoices.map((one) => (
            <option key={one} value={one}>
              {one === "auto" ? t.fresh.sleepsAuto : t.fresh.minutes(Number(one))}
            </option>
          ))}
        </SelectField>
        <TextField
          isWide
          label={`${t.fresh.image} (${t.common.optional})`}
          value={wanted.image}
          placeholder="nvidia/cuda:12.4.1-runtime-ubuntu22.04"
          className="mono"
          autoComplete="off"
          error={issue("image")}
          onChange={(event) => change({ image: event.target.value })}
        />
      </div>
      <MoneyField label={t.fresh.cap} hint={t.fresh.capHint} value={wanted.cap} onChange={(cap) => change({ cap })} />
      <section aria-label={t.fresh.offers} aria-busy={offers.isFetching}>
        <h2 className="h3">{t.fresh.offers}</h2>
        {offers.error && <FailureNote error={offers.error} onRetry={offers.refetch} />}
        {offers.isPending && <div className="bone" style={{ height: 64, borderRadius: 14 }} />}
        {best && <Offers name="best" offers={[best]} chosen={best} isBest onChoose={() => undefined} />}
        {offers.data && !best && <p className="words">{t.fresh.offersNone}</p>}
        {best && <p className="words rent-words">{t.fresh.sentence(f.perHour(best.micro_usd_per_hour), idleWords)}</p>}
      </section>
      {error !== null && <FailureNote error={error} />}
      <div className="row">
        <Button type="submit" tone="lamp" isBig isBusy={isBusy} disabled={offers.data !== undefined && !best}>
          {best ? t.fresh.submit(f.perHour(best.micro_usd_per_hour)) : t.fresh.submitPlain}
        </Button>
        <span className="muted">{t.fresh.billing}</span>
      </div>
    </form>
  );
}

function isWanted(type: string, { gpuType }: Wanted): boolean {
  const plain = (text: string) => text.trim().replaceAll("_", " ").toLowerCase();
  return gpuType.trim() === "" || plain(type) === plain(gpuType);
}

function useOffers(wanted: Wanted) {
  const { gpuType, gpuCount, region, diskGb } = useDeferredValue(wanted);
  const isWhole = gpuCount >= 1 && gpuCount <= 64 && diskGb >= 8 && (region === "" || /^[A-Za-z]{2}$/.test(region));
  const query = {
    ...(gpuType.trim() && { gpu_type: gpuType.trim() }),
    gpu_count: gpuCount,
    ...(region && { region }),
    disk_gb: diskGb,
    limit: 12,
  };
  return useQuery({
    queryKey: ["offers", "new", query],
    // A person who types is not asked about at each letter.
    queryFn: async ({ signal }) => {
      await new Promise((resolve) => setTimeout(resolve, 400));
      signal.throwIfAborted();
      return call("listOffers", { query });
    },
    enabled: isWhole,
    staleTime: 30_000,
    placeholderData: (before) => before,
  });
}

/** What is offered anywhere now, as suggestions. */
function useGpuTypes(): string[] {
  const { data } = useQuery({
    queryKey: ["offers", "types"],
    queryFn: () => call("listOffers", { query: { limit: 64 } }),
    staleTime: 300_000,
  });
  return [...new Set((data?.offers ?? []).map((one) => one.gpu_type))].sort();
}
