/** What runs here, and what this browser keeps of it. */
import { useQuery } from "@tanstack/react-query";
import { healthQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Part } from "./part.tsx";

export function About() {
  const { t, f } = useReader();
  const words = t.settings.about;
  const { data: health, error, refetch } = useQuery(healthQuery);
  return (
    <Part id="about" title={words.title}>
      <dl className="kv">
        <dt>{words.version}</dt>
        <dd>{health?.version ?? "–"}</dd>
        <dt>{words.time}</dt>
        <dd>{health ? f.full(health.time) : "–"}</dd>
        <dt>{words.api}</dt>
        <dd>
          <a className="link" href="/reference/">
            {words.apiLink}
          </a>
        </dd>
      </dl>
      {error && <FailureNote error={error} onRetry={refetch} />}
      <p className="ink2">{words.key}</p>
      <h3>{words.keeps}</h3>
      <ul className="keeps">
        {words.keepsWords.map((word) => (
          <li key={word}>{word}</li>
        ))}
      </ul>
    </Part>
  );
}
