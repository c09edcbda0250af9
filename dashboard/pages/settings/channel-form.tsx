/** A channel's address is written here and never shown again; a webhook's new secret is shown once, in this dialog. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import type { ChannelKind, ChannelView, NoticeGroup } from "../../../core/protocol/notices.ts";
import { call } from "../../api/client.ts";
import { Failure } from "../../api/failure.ts";
import { channelsQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Boxes, InstanceBoxes, TextField } from "./pieces.tsx";

/** The first four of a new one: what wants a person. */
const usual = 4;

/** `of`: null for a new one. */
export function ChannelForm({ of, onClose }: { of: ChannelView | null; onClose: () => void }) {
  const { t } = useReader();
  const words = t.settings.channels;
  const form = useChannelDraft(of, onClose);
  const { secret, change, done } = form;
  const save = (event: FormEvent) => {
    event.preventDefault();
    void change({});
  };
  if (secret !== null)
    return (
      <Dialog key="made" title={words.secret} isHeld onClose={done}>
        <div className="sec">
          <p>{t.settings.tokens.once}</p>
          <Command text={secret} label={words.secret} />
        </div>
        <footer>
          <div className="end">
            <Button tone="ink" onClick={done}>
              {t.settings.tokens.done}
            </Button>
          </div>
        </footer>
      </Dialog>
    );
  return (
    <Dialog title={of ? `${words.edit}: ${of.name}` : words.add} isHeld={form.isBusy} onClose={onClose}>
      <form className="dlg-form" onSubmit={save} noValidate>
        <Fields of={of} form={form} />
        <footer>
          <div className="end">
            {of && <Deeds of={of} form={form} />}
            <Button type="submit" tone="ink" isBusy={form.isBusy} disabled={form.draft.groups.length === 0}>
              {t.settings.policy.save}
            </Button>
          </div>
        </footer>
      </form>
    </Dialog>
  );
}

type Form = ReturnType<typeof useChannelDraft>;

/** What was typed and chosen, and its way to the API. */
function useChannelDraft(of: ChannelView | null, onClose: () => void) {
  const { t, language } = useReader();
  const queries = useQueryClient();
  const { isBusy, error, run } = useAsk();
  const [secret, setSecret] = useState<string | null>(null);
  const [draft, setDraft] = useState(() => ({
    kind: of?.kind ?? ("ntfy" as ChannelKind),
    name: of?.name ?? "",
    address: "",
    token: "",
    groups: of?.groups ?? (Object.keys(t.settings.channels.groups) as NoticeGroup[]).slice(0, usual),
    instances: of?.instances ?? [],
    buttons: of?.buttons ?? true,
  }));
  const done = async () => {
    await queries.invalidateQueries({ queryKey: channelsQuery.queryKey });
    onClose();
  };
  const change = (more: { on?: boolean; new_secret?: true }) =>
    run(async () => {
      const { kind, groups, instances, buttons } = draft;
      const [name, address, token] = [draft.name.trim(), draft.address.trim(), draft.token.trim()];
      const body = {
        ...(name && { name }),
        ...(address && { [kind === "email" ? "email" : "url"]: address }),
        ...(token && { token }),
        ...{ groups, buttons, instances: instances.length > 0 ? instances : null },
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
  const set = (part: Partial<typeof draft>) => setDraft({ ...draft, ...part });
  return { draft, set, change, remove, done, secret, isBusy, error };
}

function Fields({ of, form: { draft, set, error } }: { of: ChannelView | null; form: Form }) {
  const { t } = useReader();
  const words = t.settings.channels;
  const id = useId();
  const { kind } = draft;
  const refused = error instanceof Failure ? error.issues : [];
  const wrong = refused.find(({ path }) => path === "url" || path === "email")?.message ?? null;
  const text = (name: "address" | "token" | "name", label: string, hint = "", problem: string | null = null) => (
    <TextField
      id={`${id}-${name}`}
      {...{ label, hint }}
      value={draft[name]}
      wrong={problem}
      onChange={(value) => set({ [name]: value })}
    />
  );
  return (
    <div className="sec">
      {!of && (
        <label className="fld">
          <span className="lb">{words.kind}</span>
          <select className="field" value={kind} onChange={(event) => set({ kind: event.target.value as ChannelKind })}>
            {Object.entries(words.kinds).map(([one, word]) => (
              <option key={one} value={one}>
                {word}
              </option>
            ))}
          </select>
        </label>
      )}
      {text(
        "address",
        kind === "email" ? words.kinds.email : words.address,
        of ? words.keptHint(of.target) : words.addressHint[kind],
        wrong,
      )}
      {kind === "ntfy" && text("token", words.token)}
      {text("name", t.settings.tokens.name)}
      <Boxes
        title={words.events}
        all={Object.entries(words.groups)}
        chosen={draft.groups}
        onChange={(chosen) => set({ groups: chosen as NoticeGroup[] })}
      />
      <InstanceBoxes chosen={draft.instances} onChange={(instances) => set({ instances })} />
      {kind === "ntfy" && (
        <Boxes
          title={words.buttons}
          all={[["on", words.buttonsHint]]}
          chosen={draft.buttons ? ["on"] : []}
          onChange={(chosen) => set({ buttons: chosen.length > 0 })}
        />
      )}
      {error !== null && wrong === null && <FailureNote error={error} />}
    </div>
  );
}

/** What can be done to one that is there. */
function Deeds({ of, form: { change, remove } }: { of: ChannelView; form: Form }) {
  const words = useReader().t.settings.channels;
  const [isSure, setIsSure] = useState(false);
  return (
    <>
      <Button tone="danger" onClick={isSure ? remove : () => setIsSure(true)}>
        {isSure ? words.sure : words.remove}
      </Button>
      <Button onClick={() => change({ on: of.off !== null })}>{of.off ? words.turnOn : words.turnOff}</Button>
      {of.kind === "webhook" && <Button onClick={() => change({ new_secret: true })}>{words.newSecret}</Button>}
    </>
  );
}
