/** Keys to the services of one instance, and to nothing else. A secret is shown once. */
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import type { AnswerOf } from "../../../core/protocol/api.ts";
import { call } from "../../api/client.ts";
import { useReader } from "../../i18n/context.tsx";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Command } from "../../ui/copy.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useNow } from "../../ui/now.ts";
import { useForm } from "./use-form.ts";

type Key = AnswerOf<"listProxyKeys">["keys"][number];

const keysQuery = (id: string) =>
  queryOptions({
    queryKey: ["instance", id, "proxy-keys"],
    queryFn: async () => (await call("listProxyKeys", { params: { id } })).keys,
  });

export function Keys({ id }: { id: string }) {
  const { t } = useReader();
  const words = t.config.keys;
  const { data: keys, error, refetch } = useQuery(keysQuery(id));
  const { made, setMade } = useForm();
  return (
    <section className="proxy-keys" aria-labelledby={`${id}-keys`}>
      <h3 className="h3" id={`${id}-keys`}>
        {words.title}
      </h3>
      {made && (
        <div className="made" role="status">
          <p>
            <b>{words.made(made.name)}</b> {words.once}
          </p>
          <Command text={made.secret} label={words.secretOf(made.name)} />
        </div>
      )}
      {error && !keys && <FailureNote error={error} onRetry={refetch} />}
      {keys?.length === 0 && <p className="sub">{words.empty}</p>}
      <ul>
        {keys?.map((key) => (
          <KeyRow key={key.id} id={id} of={key} />
        ))}
      </ul>
      <NewKey id={id} onMade={setMade} />
    </section>
  );
}

function KeyRow({ id, of: key }: { id: string; of: Key }) {
  const { t, f } = useReader();
  const queries = useQueryClient();
  const words = t.config.keys;
  const now = useNow(60_000);
  const [isAsking, setIsAsking] = useState(false);
  const { isBusy, error, run } = useAsk();
  const until = key.expires_at === null ? words.forever : words.until(f.date(key.expires_at));
  const isOver = key.expires_at !== null && Date.parse(key.expires_at) <= now;
  const revoke = () =>
    run(async () => {
      await call("revokeProxyKey", { params: { id, keyId: key.id } });
      // Its row goes, and the focus with it.
      document.getElementById(`${id}-new-key`)?.focus();
      await queries.invalidateQueries({ queryKey: keysQuery(id).queryKey });
    });
  return (
    <li>
      <div>
        <b>{key.name}</b>
        <span className="sub">
          {words.since(f.date(key.created_at))}, {isOver ? words.over : until}
          {key.wakes_per_hour !== null && `, ${words.wakes(key.wakes_per_hour)}`}
        </span>
      </div>
      {isAsking ? (
        <div className="ask" role="group" aria-label={words.revokeName(key.name)}>
          <span>{words.revokeAsk}</span>
          <Button tone="ghost" autoFocus onClick={() => setIsAsking(false)}>
            {words.keep}
          </Button>
          <Button tone="danger" isBusy={isBusy} onClick={revoke}>
            {words.revoke}
          </Button>
        </div>
      ) : (
        <Button tone="ghost" aria-label={words.revokeName(key.name)} onClick={() => setIsAsking(true)}>
          {words.revoke}
        </Button>
      )}
      {error !== null && <FailureNote error={error} />}
    </li>
  );
}

const lifetimes = [0, 30, 90, 365];

function NewKey({ id, onMade }: { id: string; onMade: (made: { name: string; secret: string }) => void }) {
  const { t } = useReader();
  const queries = useQueryClient();
  const words = t.config.keys;
  const field = `${id}-new-key`;
  const [name, setName] = useState("");
  const [days, setDays] = useState(0);
  const { isBusy, error, run } = useAsk();
  const create = () =>
    run(async () => {
      const body = { name: name.trim(), ...(days > 0 && { expires_in_days: days }) };
      const made = await call("createProxyKey", { params: { id }, body });
      onMade({ name: made.name, secret: made.key });
      setName("");
      await queries.invalidateQueries({ queryKey: keysQuery(id).queryKey });
    });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim() && !isBusy) void create();
      }}
    >
      <label htmlFor={field}>{words.newName}</label>
      <div className="row">
        <input
          id={field}
          className="field"
          maxLength={80}
          autoComplete="off"
          placeholder={words.placeholder}
          value={name}
          onChange={(event) => setName(event.target.value)}
        />
        <select
          className="pick"
          aria-label={words.lifetime}
          value={days}
          onChange={(event) => setDays(Number(event.target.value))}
        >
          {lifetimes.map((one) => (
            <option key={one} value={one}>
              {one === 0 ? words.forever : words.days(one)}
            </option>
          ))}
        </select>
        <Button type="submit" isBusy={isBusy} disabled={name.trim() === ""}>
          <Icon of={Plus} />
          {words.create}
        </Button>
      </div>
      {error !== null && <FailureNote error={error} />}
    </form>
  );
}
