/** Where the reader is told what happens: added, tried and looked after here. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import type { ChannelView, DeliveryView } from "../../../core/protocol/notices.ts";
import { call } from "../../api/client.ts";
import { channelsQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useMay } from "../../parts/may.ts";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Stale } from "../instances/page.tsx";
import { ChannelForm } from "./channel-form.tsx";
import { Part } from "./part.tsx";
import { LineBones } from "./pieces.tsx";

export function Channels() {
  const { t } = useReader();
  const words = t.settings.channels;
  const { data, error, dataUpdatedAt, refetch } = useQuery(channelsQuery);
  const may = useMay();
  const [editing, setEditing] = useState<ChannelView | "new" | null>(null);
  const [looking, setLooking] = useState<ChannelView | null>(null);
  return (
    <Part
      id="channels"
      title={words.title}
      lead={words.words}
      action={
        may("createChannel") && (
          <Button onClick={() => setEditing("new")}>
            <Icon of={Plus} />
            {words.add}
          </Button>
        )
      }
    >
      {error && data && <Stale error={error} at={dataUpdatedAt} onRetry={refetch} />}
      {data?.length === 0 ? (
        <p className="ink2">{words.none}</p>
      ) : data ? (
        <ul className="lines">
          {data.map((one) => (
            <Line key={one.id} of={one} onEdit={() => setEditing(one)} onLook={() => setLooking(one)} />
          ))}
        </ul>
      ) : error ? (
        <FailureNote error={error} onRetry={refetch} />
      ) : (
        <LineBones />
      )}
      {editing && <ChannelForm of={editing === "new" ? null : editing} onClose={() => setEditing(null)} />}
      {looking && <Deliveries of={looking} onClose={() => setLooking(null)} />}
    </Part>
  );
}

function Line({ of: one, onEdit, onLook }: { of: ChannelView; onEdit: () => void; onLook: () => void }) {
  const { t } = useReader();
  const words = t.settings.channels;
  const queries = useQueryClient();
  const how = useHow();
  const { isBusy, error, run } = useAsk();
  const [answer, setAnswer] = useState<DeliveryView | null>(null);
  const test = () =>
    run(async () => {
      setAnswer(await call("testChannel", { params: { channelId: one.id } }));
      void queries.invalidateQueries({ queryKey: channelsQuery.queryKey });
    });
  return (
    <li className="channel">
      <div>
        <b>{one.name}</b>
        <p className="sub">
          {words.kinds[one.kind]} <span className="mono">{one.target}</span>
        </p>
        <p className="sub">
          {one.off ? (
            <span className="bad-t">{words.off[one.off]}</span>
          ) : (
            one.groups.map((group) => words.groups[group]).join(", ")
          )}
        </p>
        <p role="status" className="sub">
          {answer && <span className={toneOf(answer)}>{how(answer)}</span>}
        </p>
        {error !== null && <FailureNote error={error} />}
      </div>
      <div className="end">
        <Button isBusy={isBusy} aria-label={`${words.test}: ${one.name}`} onClick={test}>
          {words.test}
        </Button>
        <Button aria-label={`${words.log}: ${one.name}`} onClick={onLook}>
          {words.log}
        </Button>
        <Button aria-label={`${words.edit}: ${one.name}`} onClick={onEdit}>
          {words.edit}
        </Button>
      </div>
    </li>
  );
}

function toneOf({ code }: DeliveryView): string | undefined {
  return code ? "bad-t" : undefined;
}

/** How a delivery went, in words. */
function useHow() {
  const { t, f } = useReader();
  const words = t.settings.channels;
  return ({ state, code, status, answer, next_try_at }: DeliveryView) => {
    const says = [code ? words.codes[code] : words.states[state], status, answer].filter(Boolean).join(", ");
    return next_try_at ? `${says}. ${words.again(f.clock(next_try_at))}` : says;
  };
}

function Deliveries({ of: { id, name }, onClose }: { of: ChannelView; onClose: () => void }) {
  const { t, f } = useReader();
  const words = t.settings.channels;
  const how = useHow();
  const { data, error, refetch } = useQuery({
    queryKey: [...channelsQuery.queryKey, id],
    queryFn: async () => (await call("listDeliveries", { params: { channelId: id } })).deliveries,
    refetchInterval: 10_000,
  });
  return (
    <Dialog title={`${words.log}: ${name}`} isWide onClose={onClose}>
      <div className="sec">
        {error && <FailureNote error={error} onRetry={refetch} />}
        {data?.length === 0 && <p className="ink2">{words.noLog}</p>}
        <ul className="lines">
          {data?.map((one) => (
            <li key={one.id} className="channel">
              <div>
                <b>
                  {one.instance_name ?? words.test}
                  {one.event_type !== "test" && `: ${t.events.types[one.event_type as keyof typeof t.events.types]}`}
                </b>
                <p className="sub">
                  {f.full(one.created_at)}, {words.tries(one.tries)}: <span className={toneOf(one)}>{how(one)}</span>
                </p>
              </div>
            </li>
          ))}
        </ul>
      </div>
    </Dialog>
  );
}
