/** Tokens of the API: made here, shown once, revoked here. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { KeyRound, Plus } from "lucide-react";
import { useState } from "react";
import type { AnswerOf } from "../../../core/protocol/api.ts";
import { call } from "../../api/client.ts";
import { sessionQuery, tokensQuery, useSession } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useVoice } from "../../ui/toast.tsx";
import { Stale } from "../instances/page.tsx";
import { NewToken } from "./new-token.tsx";
import { Part } from "./part.tsx";
import { LineBones, TwoLists } from "./pieces.tsx";

type Token = AnswerOf<"listTokens">["tokens"][number];

export function Tokens() {
  const { t } = useReader();
  const words = t.settings.tokens;
  const { data, error, dataUpdatedAt, refetch } = useQuery(tokensQuery);
  const [isMaking, setIsMaking] = useState(false);
  const [revoking, setRevoking] = useState<Token | null>(null);
  return (
    <Part
      id="tokens"
      title={words.title}
      lead={words.words}
      action={
        <Button onClick={() => setIsMaking(true)}>
          <Icon of={Plus} />
          {words.make}
        </Button>
      }
    >
      {error && data && <Stale error={error} at={dataUpdatedAt} onRetry={refetch} />}
      {data ? (
        data.length === 0 ? (
          <p className="ink2">{words.none}</p>
        ) : (
          <ul className={`lines${error ? " dimmed" : ""}`}>
            {data.map((token) => (
              <TokenLine key={token.id} token={token} onRevoke={() => setRevoking(token)} />
            ))}
          </ul>
        )
      ) : error ? (
        <FailureNote error={error} onRetry={refetch} />
      ) : (
        <LineBones />
      )}
      {isMaking && <NewToken onClose={() => setIsMaking(false)} />}
      {revoking && <Revoke token={revoking} onClose={() => setRevoking(null)} />}
    </Part>
  );
}

function TokenLine({ token, onRevoke }: { token: Token; onRevoke: () => void }) {
  const { t, f } = useReader();
  const words = t.settings.tokens;
  const { name, user, role, instances, created_at, expires_at, last_used_at } = token;
  const own = useSession().data?.user?.id;
  const whose = user.id === own ? "" : `${user.name}, `;
  const used = last_used_at === null ? t.team.unused : t.team.used(f.moment(last_used_at, Date.now()));
  const isOver = expires_at !== null && Date.parse(expires_at) <= Date.now();
  const end = expires_at === null ? words.never : (isOver ? words.expired : words.expires)(f.date(expires_at));
  return (
    <li>
      <Icon of={KeyRound} />
      <div>
        <b>{name}</b>
        <p className="sub">
          {whose}
          {t.team.roles[role]}, {instances && `${words.only(instances.length)}, `}
          {words.created(f.date(created_at))}, {used}, <span className={isOver ? "bad-t" : undefined}>{end}</span>
        </p>
      </div>
      <Button tone="danger" aria-label={words.revokeNamed(name)} onClick={onRevoke}>
        {words.revoke}
      </Button>
    </li>
  );
}

function Revoke({ token, onClose }: { token: Token; onClose: () => void }) {
  const { t } = useReader();
  const words = t.settings.tokens;
  const queries = useQueryClient();
  const voice = useVoice();
  const { isBusy, error, run } = useAsk();
  const revoke = () =>
    run(async () => {
      await call("revokeToken", { params: { tokenId: token.id } });
      await queries.invalidateQueries({ queryKey: tokensQuery.queryKey });
      // It may have been this browser's own.
      void queries.invalidateQueries({ queryKey: sessionQuery.queryKey });
      voice.announce(words.revoked(token.name));
      onClose();
    });
  return (
    <Dialog title={words.revokeTitle(token.name)} isAlert isHeld={isBusy} onClose={onClose}>
      <div className="sec">
        <TwoLists
          gone={{ title: words.stops, words: words.stopsWords }}
          kept={{ title: words.stays, words: words.staysWords }}
        />
        {error !== null && <FailureNote error={error} />}
      </div>
      <footer>
        <div className="end">
          <Button tone="ghost" onClick={onClose}>
            {t.common.action.cancel}
          </Button>
          <Button tone="danger" isBusy={isBusy} onClick={revoke}>
            {words.revokeNamed(token.name)}
          </Button>
        </div>
      </footer>
    </Dialog>
  );
}
