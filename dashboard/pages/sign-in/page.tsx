/** One field, or one button: the token goes over once and is kept by nobody but its owner. */
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useId, useRef, useState } from "react";
import type { SessionWay } from "../../../core/protocol/session.ts";
import { call } from "../../api/client.ts";
import { forgetOthers, sessionQuery } from "../../api/queries.ts";
import { read, useReader, write } from "../../i18n/context.tsx";
import { Mark } from "../../parts/mark.tsx";
import { Button } from "../../ui/button.tsx";
import { FailureNote } from "../../ui/failure.tsx";

export function SignInPage({ ways }: { ways: SessionWay[] }) {
  const { t, language, setLanguage } = useReader();
  const queries = useQueryClient();
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setIsBusy] = useState(false);
  const field = useId();
  const open = async (token?: string) => {
    setIsBusy(true);
    setError(null);
    try {
      const session = await call("openSession", { body: token === undefined ? {} : { token } });
      write("soneca.signed-out", null);
      forgetOthers(queries, session);
      queries.setQueryData(sessionQuery.queryKey, session);
    } catch (failure) {
      setError(failure);
    } finally {
      setIsBusy(false);
    }
  };
  // Whoever opens a page on its own machine is let in at once, unless they have just signed out.
  const isLocal = ways.includes("local") && read("soneca.signed-out") === null;
  const hasTried = useRef(false);
  useEffect(() => {
    if (!isLocal || hasTried.current) return;
    hasTried.current = true;
    void open();
  });
  if (isLocal && error === null) return null;
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const token = new FormData(event.currentTarget).get("token");
    if (typeof token === "string" && token.trim() !== "") void open(token.trim());
  };
  return (
    <main className="alone" id="main">
      <div className="sign-in card">
        <div className="brand">
          <Mark />
          <span>soneca</span>
        </div>
        <h1>{t.signIn.title}</h1>
        <p className="ink2">{t.signIn.lead}</p>
        {ways.length === 0 && <p>{t.signIn.nowhere}</p>}
        {ways.includes("local") && (
          <Button tone="ink" isBig isBusy={isBusy} onClick={() => open()}>
            {t.signIn.local}
          </Button>
        )}
        {ways.includes("token") && (
          <form onSubmit={submit}>
            <label htmlFor={field}>{t.signIn.token}</label>
            <input
              id={field}
              name="token"
              type="password"
              className="field mono"
              autoComplete="current-password"
              spellCheck={false}
              required
              aria-describedby={`${field}-hint`}
            />
            <p className="sub" id={`${field}-hint`}>
              {t.signIn.tokenHint}
            </p>
            <Button type="submit" tone={ways.includes("local") ? "plain" : "ink"} isBig isBusy={isBusy}>
              {t.signIn.submit}
            </Button>
          </form>
        )}
        {error !== null && <FailureNote error={error} />}
        <Button tone="ghost" className="lang" onClick={() => setLanguage(language === "en" ? "pt-BR" : "en")}>
          {language === "en" ? "Português" : "English"}
        </Button>
      </div>
    </main>
  );
}
