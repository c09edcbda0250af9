/** Another instance that begins with the files of this one. Nothing is rented while it is made, unless it is to wake. */
import { type FormEvent, useState } from "react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { useCreate } from "./create.ts";
import { TextField } from "./fields.tsx";

export function Clone({ source, seq }: { source: InstanceView; seq: number | null }) {
  const { t } = useReader();
  const { create, error, isBusy } = useCreate();
  const [name, setName] = useState("");
  const [isStarted, setIsStarted] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void create({
      ...(name.trim() && { name: name.trim() }),
      from: { instance: source.id, ...(seq !== null && { snapshot: seq }) },
      start: isStarted,
    });
  };
  return (
    <form className="rent" onSubmit={submit}>
      <h1 className="form-title">{t.fresh.title}</h1>
      <p className="words">{seq === null ? t.fresh.from(source.name) : t.fresh.fromSnapshot(source.name, seq)}</p>
      <TextField
        label={t.fresh.name}
        value={name}
        placeholder={`${source.name}-2`}
        maxLength={80}
        autoComplete="off"
        onChange={(event) => setName(event.target.value)}
      />
      <label className="row">
        <input
          type="checkbox"
          className="ck"
          checked={isStarted}
          onChange={(event) => setIsStarted(event.target.checked)}
        />
        {t.fresh.start}
      </label>
      {error !== null && <FailureNote error={error} />}
      <div className="row">
        <Button type="submit" tone={isStarted ? "lamp" : "ink"} isBig isBusy={isBusy}>
          {isStarted ? t.fresh.submitPlain : t.fresh.submitAsleep}
        </Button>
      </div>
    </form>
  );
}
