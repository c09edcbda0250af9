/** Its secret lives in this dialog alone, and is gone with it. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useId, useState } from "react";
import type { AnswerOf } from "../../../core/protocol/api.ts";
import { call } from "../../api/client.ts";
import { Failure } from "../../api/failure.ts";
import { tokensQuery, useSession } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Command } from "../../ui/copy.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { InstanceBoxes, TextField } from "./pieces.tsx";
import { RoleField } from "./role-field.tsx";

type Made = AnswerOf<"createToken">;

export function NewToken({ onClose }: { onClose: () => void }) {
  const { t } = useReader();
  const words = t.settings.tokens;
  const [made, setMade] = useState<Made | null>(null);
  const ask = useAsk();
  if (made)
    return (
      <Dialog key="made" title={words.madeTitle(made.name)} isHeld onClose={onClose}>
        <Secret made={made} onDone={onClose} />
      </Dialog>
    );
  // Closed while it is asked for, it would be made and shown to nobody.
  return (
    <Dialog key="asked" title={words.makeTitle} isHeld={ask.isBusy} onClose={onClose}>
      <Form ask={ask} onMade={setMade} onCancel={onClose} />
    </Dialog>
  );
}

interface FormProps {
  ask: ReturnType<typeof useAsk>;
  onMade: (made: Made) => void;
  onCancel: () => void;
}

function Form({ ask: { isBusy, error, run }, onMade, onCancel }: FormProps) {
  const { t } = useReader();
  const words = t.settings.tokens;
  const queries = useQueryClient();
  const id = useId();
  const [name, setName] = useState("");
  const [days, setDays] = useState("90");
  const own = useSession().data?.team?.role ?? "viewer";
  const [role, setRole] = useState(own);
  const [instances, setInstances] = useState<string[]>([]);
  const [isTried, setIsTried] = useState(false);
  const refused = error instanceof Failure ? error.issues.map(({ path }) => path) : [];
  const isNameWrong = name.trim() === "" || name.trim().length > 80;
  const isDaysWrong =
    days.trim() !== "" && !(/^\d{1,4}$/.test(days.trim()) && Number(days) >= 1 && Number(days) <= 3650);
  const create = (event: FormEvent) => {
    event.preventDefault();
    setIsTried(true);
    if (isNameWrong || isDaysWrong || isBusy) return;
    void run(async () => {
      const expires = days.trim() === "" ? {} : { expires_in_days: Number(days) };
      const only = instances.length > 0 && { instances };
      const made = await call("createToken", { body: { name: name.trim(), role, ...expires, ...only } });
      void queries.invalidateQueries({ queryKey: tokensQuery.queryKey });
      onMade(made);
    });
  };
  return (
    <form className="dlg-form" onSubmit={create} noValidate>
      <div className="sec">
        <TextField
          id={`${id}-name`}
          label={words.name}
          hint={words.nameHint}
          value={name}
          wrong={(isTried && isNameWrong) || refused.includes("name") ? words.nameMissing : null}
          onChange={setName}
        />
        <TextField
          id={`${id}-days`}
          label={words.days}
          hint={words.daysHint}
          value={days}
          inputMode="numeric"
          wrong={isDaysWrong || refused.includes("expires_in_days") ? words.daysWrong : null}
          onChange={setDays}
        />
        <RoleField id={`${id}-role`} value={role} onChange={setRole} />
        <InstanceBoxes chosen={instances} onChange={setInstances} />
        {error !== null && <FailureNote error={error} />}
      </div>
      <footer>
        <div className="end">
          <Button tone="ghost" disabled={isBusy} onClick={onCancel}>
            {t.common.action.cancel}
          </Button>
          <Button type="submit" tone="ink" isBusy={isBusy}>
            {words.create}
          </Button>
        </div>
      </footer>
    </form>
  );
}

function Secret({ made, onDone }: { made: Made; onDone: () => void }) {
  const { t } = useReader();
  const words = t.settings.tokens;
  return (
    <>
      <div className="sec">
        <p>{words.once}</p>
        <Command text={made.token} label={words.secret} />
      </div>
      <footer>
        <div className="end">
          <Button tone="ink" onClick={onDone}>
            {words.done}
          </Button>
        </div>
      </footer>
    </>
  );
}
