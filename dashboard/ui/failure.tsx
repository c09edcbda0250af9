/** What went wrong, why, and what to do: from the error's code, never from its text. */
import { Failure } from "../api/failure.ts";
import { useReader } from "../i18n/context.tsx";
import { Button } from "./button.tsx";

export function useFailureWords() {
  const { t } = useReader();
  return (error: unknown) => {
    const failure = error instanceof Failure ? error : new Failure("unknown", String(error));
    const { byCode } = t.errors;
    const { what, next } = byCode[failure.code] ?? ownWords(failure) ?? byCode.unknown!;
    const says = failure.context.provider_message;
    const detail = typeof says === "string" ? t.errors.providerSays(says) : null;
    const id = failure.requestId ? `, ${t.common.requestId} ${failure.requestId}` : "";
    return { what, next, detail, code: `${t.common.code} ${failure.code}${id}`, failure };
  };
}

/** What the API says of itself; nothing where it did not. */
function ownWords({ message, hint }: Failure): { what: string; next: string } | null {
  return hint === "" ? null : { what: message, next: hint };
}

export function FailureNote({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useReader();
  const { what, next, detail, code } = useFailureWords()(error);
  return (
    <div className="failure" role="alert">
      <p>
        <b>{what}</b> {next}
      </p>
      {detail && <p>{detail}</p>}
      <p className="sub mono">{code}</p>
      {onRetry && <Button onClick={onRetry}>{t.common.tryAgain}</Button>}
    </div>
  );
}
