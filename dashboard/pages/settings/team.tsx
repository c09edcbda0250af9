/** For the owners of a team: who is in it, the key that its machines are rented with, and who changed what. */
import { queryOptions, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { KeyRound, UserRound } from "lucide-react";
import { type FormEvent, useState } from "react";
import type { MemberView } from "../../../core/protocol/team.ts";
import { call } from "../../api/client.ts";
import { useReader } from "../../i18n/context.tsx";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useVoice } from "../../ui/toast.tsx";
import { Part } from "./part.tsx";
import { LineBones, TextField, TwoLists } from "./pieces.tsx";
import { RoleField, RoleSelect } from "./role-field.tsx";

const membersQuery = queryOptions({
  queryKey: ["members"],
  queryFn: async () => (await call("listMembers")).members,
});
const keyQuery = queryOptions({
  queryKey: ["provider-key"],
  queryFn: async () => (await call("getProviderKey")).key,
});

export function Members() {
  const { t } = useReader();
  const { data, error, refetch } = useQuery(membersQuery);
  return (
    <Part id="team" title={t.team.members}>
      {data ? (
        <ul className="lines">
          {data.map((member) => (
            <Member key={member.user_id} of={member} />
          ))}
        </ul>
      ) : error ? (
        <FailureNote error={error} onRetry={refetch} />
      ) : (
        <LineBones />
      )}
      <NewMember />
    </Part>
  );
}

function Member({ of: { user_id, name, email, role, is_founder } }: { of: MemberView }) {
  const { t } = useReader();
  const queries = useQueryClient();
  const { error, run } = useAsk();
  const [isRemoving, setIsRemoving] = useState(false);
  const change = (to: MemberView["role"]) =>
    run(async () => {
      await call("changeMember", { params: { memberId: user_id }, body: { role: to } });
      await queries.invalidateQueries({ queryKey: membersQuery.queryKey });
    });
  return (
    <li>
      <Icon of={UserRound} />
      <div>
        <b>{name}</b>
        <p className="sub">{[email, is_founder && t.team.roles.owner].filter(Boolean).join(", ")}</p>
        {error !== null && <FailureNote error={error} />}
      </div>
      {!is_founder && (
        <div className="row">
          <RoleSelect label={t.team.roleOf(name)} value={role} onChange={change} />
          <Button tone="danger" aria-label={t.team.removeNamed(name)} onClick={() => setIsRemoving(true)}>
            {t.team.remove}
          </Button>
        </div>
      )}
      {isRemoving && <RemoveMember id={user_id} name={name} onClose={() => setIsRemoving(false)} />}
    </li>
  );
}

function RemoveMember({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const { t } = useReader();
  const words = t.team;
  const queries = useQueryClient();
  const voice = useVoice();
  const { isBusy, error, run } = useAsk();
  const remove = () =>
    run(async () => {
      await call("removeMember", { params: { memberId: id } });
      voice.announce(words.removed(name));
      onClose();
      await queries.invalidateQueries({ queryKey: membersQuery.queryKey });
    });
  return (
    <Dialog title={words.removeTitle(name)} isAlert isHeld={isBusy} onClose={onClose}>
      <div className="sec">
        <TwoLists
          gone={{ title: words.ends, words: words.endsWords }}
          kept={{ title: words.stays, words: words.staysWords }}
        />
        {error !== null && <FailureNote error={error} />}
      </div>
      <footer>
        <div className="end">
          <Button tone="ghost" onClick={onClose}>
            {t.common.action.cancel}
          </Button>
          <Button tone="danger" isBusy={isBusy} onClick={remove}>
            {words.removeNamed(name)}
          </Button>
        </div>
      </footer>
    </Dialog>
  );
}

function NewMember() {
  const { t } = useReader();
  const queries = useQueryClient();
  const { isBusy, error, run } = useAsk();
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<MemberView["role"]>("operator");
  const [token, setToken] = useState<string | null>(null);
  const add = (event: FormEvent) => {
    event.preventDefault();
    void run(async () => {
      const made = await call("addMember", { body: { name, role, ...(email.trim() !== "" && { email }) } });
      setToken(made.token);
      setName("");
      setEmail("");
      await queries.invalidateQueries({ queryKey: membersQuery.queryKey });
    });
  };
  const words = t.settings.tokens;
  return (
    <form onSubmit={add}>
      {token !== null && (
        <div role="status">
          <p>{words.once}</p>
          <Command text={token} label={words.secret} />
        </div>
      )}
      <TextField id="member-name" label={words.name} hint="" value={name} wrong={null} onChange={setName} />
      <TextField
        id="member-email"
        label={t.team.email}
        hint={t.team.emailHint}
        value={email}
        wrong={null}
        onChange={setEmail}
      />
      <RoleField id="member-role" value={role} onChange={setRole} />
      <Button type="submit" isBusy={isBusy}>
        {t.team.add}
      </Button>
      {error !== null && <FailureNote error={error} />}
    </form>
  );
}

export function ProviderKey() {
  const { t, f } = useReader();
  const queries = useQueryClient();
  const { data, error: unread, refetch } = useQuery(keyQuery);
  const { isBusy, error, run } = useAsk();
  const [key, setKey] = useState("");
  const done = (work: () => Promise<unknown>) =>
    run(async () => {
      await work();
      setKey("");
      await queries.invalidateQueries({ queryKey: keyQuery.queryKey });
    });
  const save = (event: FormEvent) => {
    event.preventDefault();
    void done(() => call("setProviderKey", { body: { key } }));
  };
  return (
    <Part id="key" title={t.team.key} lead={t.team.keyWords}>
      {data ? (
        <ul className="lines">
          <li>
            <Icon of={KeyRound} />
            <div>
              {t.team.keyOf(data.hint, f.date(data.created_at))}
              {data.trouble && <p className="bad-t">{t.team.keyTrouble(data.trouble.message)}</p>}
            </div>
            <Button tone="danger" isBusy={isBusy} onClick={() => done(() => call("removeProviderKey"))}>
              {t.team.remove}
            </Button>
          </li>
        </ul>
      ) : unread ? (
        <FailureNote error={unread} onRetry={refetch} />
      ) : (
        data === null && <p className="ink2">{t.team.keyNone}</p>
      )}
      <form onSubmit={save}>
        <TextField
          id="provider-key"
          label={t.team.keyNew}
          hint=""
          value={key}
          wrong={null}
          isSecret
          onChange={setKey}
        />
        <Button type="submit" isBusy={isBusy}>
          {t.team.save}
        </Button>
      </form>
      {error !== null && <FailureNote error={error} />}
    </Part>
  );
}

export function Audit() {
  const { t, f } = useReader();
  const { data, error, refetch, fetchNextPage, hasNextPage, isFetching } = useInfiniteQuery({
    queryKey: ["audit"],
    queryFn: ({ pageParam }) => call("listAudit", { query: { limit: 20, ...(pageParam && { before: pageParam }) } }),
    initialPageParam: 0,
    getNextPageParam: (page) => page.next_before,
  });
  const lines = data?.pages.flatMap((page) => page.lines);
  return (
    <Part id="audit" title={t.team.log}>
      {lines ? (
        <ul className="lines">
          {lines.map((line) => (
            <li key={line.id}>
              <Icon of={UserRound} />
              <div>
                <b>{line.name ?? line.actor}</b> <span className="mono">{line.operation}</span>
                <p className="sub">
                  {[line.instance_id ?? line.target, f.full(line.at), line.origin].filter(Boolean).join(" · ")}
                </p>
              </div>
              {line.code !== null && (
                <span className="bad-t">
                  {t.team.refused} <span className="mono">{line.code}</span>
                </span>
              )}
            </li>
          ))}
          {lines.length === 0 && <p className="ink2">{t.team.logNone}</p>}
        </ul>
      ) : error ? (
        <FailureNote error={error} onRetry={refetch} />
      ) : (
        <LineBones />
      )}
      {hasNextPage && (
        <Button isBusy={isFetching} onClick={() => void fetchNextPage()}>
          {t.team.older}
        </Button>
      )}
    </Part>
  );
}
