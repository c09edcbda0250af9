/** A channel's address is written here and never shown again; a webhook's new secret is shown once, in this dialog. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import type { ChannelKind, ChannelView, NoticeGroup } from "../../../core/protocol/notices.ts";
import { call } from "../../api/client.ts";
import { Failure } from "../../api/failure.ts";
import { channelsQuery, instancesQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { TextField } from "./pieces.tsx";

/** The first four of a new one: what wants a person. */
const usual = 4;

/** `of`: null for a new one. */
export function ChannelForm({ of, onClose }: { of: ChannelView | null; onClose: () => void }) {
  const { t, language } = useReader();
  const words = t.settings.channels;
  const queries = useQueryClient();
  const id = useId();
  const { isBusy, error, run } = useAsk();
  const { data: rows } = useQuery(instancesQuery);
  const all = Object.keys(words.groups) as NoticeGroup[];
  const [kind, setKind] = useState<ChannelKind>(of?.kind ?? "ntfy");
  const [name, setName] = useState(of?.name ?? "");
  const [address, setAddress] = useState("");
  const [token, setToken] = useState("");
  const [groups, setGroups] = useState<string[]>(of?.groups ?? all.slice(0, usual));
  const [instances, setInstances] = useState<string[]>(of?.instances ?? []);
  const [buttons, setButtons] = useState(of?.buttons ?? true);
  const [isSure, setIsSure] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const done = async () => {
    await queries.invalidateQueries({ queryKey: channelsQuery.queryKey });
    onClose();
  };
  const change = (more: { on?: boolean; new_secret?: true }) =>
    run(async () => {
      const target = address.trim() && { [kind === "email" ? "email" : "url"]: address.trim() };
      const body = {
        ...(name.trim() && { name: name.trim() }),
        ...target,
        ...(token.trim() && { token: token.trim() }),
        groups: groups as NoticeGroup[],
        instances: instances.length > 0 ? instances : null,
        buttons,
        ...more,
      };
      const saved = of
        ? await call("changeChannel", { params: { channelId: of.id }, body })
        : await call("createChannel", { body: { ...body, kind, language } });
      if (saved.secret === null) return done();
      setSecret(saved.secret);
    });
  const remove = () =>
    run(async () => {
      await call("deleteChannel", { params: { channelId: of!.id } });
      await done();
    });
  const save = (event: FormEvent) => {
    event.preventDefault();
    void change({});
  };
  if (secret !== null)
    return (
      <Dialog key="made" title={words.secret} onClose={done}>
        <div className="sec">
          <p>{t.settings.tokens.once}</p>
          <Command text={secret} label={words.secret} />
        </div>
      </Dialog>
    );
  const refused = error instanceof Failure ? error.issues : [];
  const wrong = refused.find(({ path }) => path === "url" || path === "email")?.message ?? null;
  return (
    <Dialog title={of ? `${words.edit}: ${of.name}` : words.add} onClose={onClose}>
      <form className="dlg-form" onSubmit={save} noValidate>
        <div className="sec">
          {!of && (
            <label className="fld">
              <span className="lb">{words.kind}</span>
              <select className="field" value={kind} onChange={(event) => setKind(event.target.value as ChannelKind)}>
                {Object.entries(words.kinds).map(([one, word]) => (
                  <option key={one} value={one}>
                    {word}
                  </option>
                ))}
              </select>
            </label>
          )}
          <TextField
            id={`${id}-to`}
            label={kind === "email" ? words.kinds.email : words.address}
            hint={of ? words.keptHint(of.target) : words.addressHint[kind]}
            value={address}
            wrong={wrong}
            onChange={setAddress}
          />
          {kind === "ntfy" && (
            <TextField id={`${id}-key`} label={words.token} hint="" value={token} wrong={null} onChange={setToken} />
          )}
          <TextField
            id={`${id}-name`}
            label={t.settings.tokens.name}
            hint=""
            value={name}
            wrong={null}
            onChange={setName}
          />
          <Boxes title={words.events} all={Object.entries(words.groups)} chosen={groups} onChange={setGroups} />
          {rows && rows.length > 0 && (
            <Boxes
              title={words.instances}
              all={rows.map((row) => [row.id, row.name])}
              chosen={instances}
              onChange={setInstances}
            />
          )}
          {kind === "ntfy" && (
            <Boxes
              title={words.buttons}
              all={[["on", words.buttonsHint]]}
              chosen={buttons ? ["on"] : []}
              onChange={(chosen) => setButtons(chosen.length > 0)}
            />
          )}
          {error !== null && wrong === null && <FailureNote error={error} />}
        </div>
        <footer>
          <div className="end">
            {of && (
              <>
                <Button tone="danger" onClick={isSure ? remove : () => setIsSure(true)}>
                  {isSure ? words.sure : words.remove}
                </Button>
                <Button onClick={() => change({ on: of.off !== null })}>{of.off ? words.turnOn : words.turnOff}</Button>
              </>
            )}
            {of?.kind === "webhook" && <Button onClick={() => change({ new_secret: true })}>{words.newSecret}</Button>}
            <Button type="submit" tone="ink" isBusy={isBusy} disabled={groups.length === 0}>
              {t.settings.policy.save}
            </Button>
          </div>
        </footer>
      </form>
    </Dialog>
  );
}

interface BoxesProps {
  title: string;
  all: [string, string][];
  chosen: string[];
  onChange: (chosen: string[]) => void;
}

function Boxes({ title, all, chosen, onChange }: BoxesProps) {
  const toggle = (id: string) => onChange(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  return (
    <fieldset className="others">
      <legend>{title}</legend>
      {all.map(([id, word]) => (
        <label key={id}>
          <input type="checkbox" className="ck" checked={chosen.includes(id)} onChange={() => toggle(id)} />
          {word}
        </label>
      ))}
    </fieldset>
  );
}
