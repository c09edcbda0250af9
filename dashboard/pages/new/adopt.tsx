/** A machine that is rented already: choose it, paste a line on it, and see it report. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Check } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { Link, useLocation } from "wouter";
import type { AnswerOf } from "../../../core/protocol/api.ts";
import { call } from "../../api/client.ts";
import { instancesQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { Command } from "../../ui/copy.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useNow } from "../../ui/now.ts";
import { TextField } from "./fields.tsx";

export type Adopted = AnswerOf<"adoptInstance">;

interface Props {
  adopted: Adopted | null;
  onAdopted: (adopted: Adopted) => void;
  onAdopting: (isAdopting: boolean) => void;
}

export function Adopt({ adopted, onAdopted, onAdopting }: Props) {
  const { t } = useReader();
  const words = t.fresh.steps;
  return (
    <div className="adopt">
      <p className="ink2">{t.fresh.adoptWords}</p>
      <ol className="steps">
        <Step n={1} title={words.choose} words={words.chooseWords} isDone={adopted !== null}>
          {!adopted && <Choose onAdopted={onAdopted} onAdopting={onAdopting} />}
        </Step>
        <Step n={2} title={words.run} words={words.runWords}>
          {adopted && (
            <>
              <Command text={adopted.install_command} label={t.fresh.commandLabel} />
              <p className="sub">{t.fresh.secretOnce}</p>
            </>
          )}
        </Step>
        <Step n={3} title={words.wait} words={words.waitWords}>
          {adopted && (
            <>
              <Listen id={adopted.instance.id} />
              <Link href="/" className="btn" onClick={() => onAdopting(false)}>
                {t.common.toInstances}
              </Link>
            </>
          )}
        </Step>
      </ol>
    </div>
  );
}

function Step({
  n,
  title,
  words,
  isDone,
  children,
}: {
  n: number;
  title: string;
  words: string;
  isDone?: boolean;
  children?: ReactNode;
}) {
  return (
    <li>
      <span className={`n${isDone ? " ok" : ""}`}>{isDone ? <Icon of={Check} /> : n}</span>
      <div>
        <h2>{title}</h2>
        <p>{words}</p>
        {children}
      </div>
    </li>
  );
}

function Choose({ onAdopted, onAdopting }: Omit<Props, "adopted">) {
  const { t, f } = useReader();
  const queries = useQueryClient();
  const machines = useQuery({
    queryKey: ["machines"],
    queryFn: async () => (await call("listAdoptable")).machines,
    refetchInterval: 30_000,
  });
  const [number, setNumber] = useState("");
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setIsBusy] = useState(false);
  const take = async (vastInstanceId: number) => {
    setIsBusy(true);
    setError(null);
    onAdopting(true);
    try {
      onAdopted(await call("adoptInstance", { body: { vast_instance_id: vastInstanceId } }));
    } catch (failure) {
      setError(failure);
      onAdopting(false);
      void queries.invalidateQueries({ queryKey: ["machines"] });
    } finally {
      setIsBusy(false);
    }
  };
  return (
    <div className="choose">
      {machines.data?.map((one) => (
        <div key={one.vast_instance_id} className="machine-row">
          <span>
            <b>{one.gpu_type ? t.instance.gpus(one.gpu_count ?? 1, one.gpu_type) : one.vast_instance_id}</b>
            <span className="sub">
              {one.vast_instance_id} · {one.region ?? t.common.unknown}
              {one.started_at && ` · ${t.fresh.running(f.moment(one.started_at, Date.now()))}`}
            </span>
          </span>
          <span className="price">
            {one.micro_usd_per_hour === null ? t.common.priceUnknown : f.perHour(one.micro_usd_per_hour)}
          </span>
          <Button isBusy={isBusy} onClick={() => take(one.vast_instance_id)}>
            {t.fresh.take}
          </Button>
        </div>
      ))}
      {machines.data?.length === 0 && <p className="sub">{t.fresh.machinesNone}</p>}
      {machines.error && <FailureNote error={machines.error} onRetry={machines.refetch} />}
      <form
        className="row by-number"
        onSubmit={(event) => {
          event.preventDefault();
          if (Number(number) > 0) void take(Number(number));
        }}
      >
        <TextField
          label={t.fresh.machineNumber}
          inputMode="numeric"
          pattern="[0-9]+"
          value={number}
          onChange={(event) => setNumber(event.target.value)}
        />
        <Button type="submit" isBusy={isBusy} disabled={!(Number(number) > 0)}>
          {t.fresh.take}
        </Button>
      </form>
      {error !== null && <FailureNote error={error} />}
    </div>
  );
}

/** Asks each second or two: what is waited for is the first word of a machine that somebody is looking at. */
function Listen({ id }: { id: string }) {
  const { t, f } = useReader();
  const queries = useQueryClient();
  const [, go] = useLocation();
  const [since] = useState(() => Date.now());
  const now = useNow(1_000);
  const { data } = useQuery({
    queryKey: ["instance", id, "first"],
    queryFn: () => call("getInstance", { params: { id } }),
    refetchInterval: 1_500,
    refetchIntervalInBackground: true,
  });
  const isHeard = data?.last_report_at != null;
  useEffect(() => {
    if (!isHeard) return;
    void queries.invalidateQueries({ queryKey: instancesQuery.queryKey });
    const timer = setTimeout(() => go(`/i/${id}`), 900);
    return () => clearTimeout(timer);
  }, [isHeard, id, go, queries]);
  return (
    <div className="wait" role="status">
      {isHeard ? (
        <span className="run-t row">
          <Icon of={Check} />
          {t.fresh.heard}
        </span>
      ) : (
        <>
          <span className="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          {t.fresh.listening}
          <span className="end" aria-live="off">
            {f.countdown(now - since)}
          </span>
          {now - since > 60_000 && (
            <details className="wait-help">
              <summary className="link">{t.fresh.nothingYet}</summary>
              <p>{t.fresh.nothingYetWords}</p>
            </details>
          )}
        </>
      )}
    </div>
  );
}
