/** Who is signed in, and how the page speaks to them. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { call } from "../../api/client.ts";
import { sessionQuery } from "../../api/queries.ts";
import { read, useReader, write } from "../../i18n/context.tsx";
import { type Language, zoneWords } from "../../i18n/format.ts";
import { useAsk } from "../../parts/use-ask.ts";
import { ZoneField } from "../../parts/zone-field.tsx";
import { themes, useTheme } from "../../shell/theme.ts";
import { Button } from "../../ui/button.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { useNow } from "../../ui/now.ts";
import { Part } from "./part.tsx";

const languages: { of: Language; name: string }[] = [
  { of: "en", name: "English" },
  { of: "pt-BR", name: "Português" },
];

export function You() {
  const { t, language, setLanguage } = useReader();
  const words = t.settings.you;
  const [theme, setTheme] = useTheme();
  return (
    <Part id="you" title={words.title}>
      <Session />
      <div className="fld">
        <span className="lb">{words.language}</span>
        <div className="seg" role="group" aria-label={words.language}>
          {languages.map(({ of, name }) => (
            <button key={of} type="button" lang={of} aria-pressed={of === language} onClick={() => setLanguage(of)}>
              {name}
            </button>
          ))}
        </div>
      </div>
      <Zone />
      <div className="fld">
        <span className="lb">{words.theme}</span>
        <div className="seg" role="group" aria-label={words.theme}>
          {themes.map((one) => (
            <button key={one} type="button" aria-pressed={one === theme} onClick={() => setTheme(one)}>
              {t.common.theme[one]}
            </button>
          ))}
        </div>
      </div>
    </Part>
  );
}

/** The reader's own; at first the browser's. */
function Zone() {
  const { t, f, zone, language, setZone } = useReader();
  const words = t.settings.you;
  const now = useNow(10_000);
  const clock = t.common.clockOf(f.clock(now).slice(0, 5), zoneWords(zone, language, now));
  return (
    <ZoneField zone={zone} hint={words.zoneHint(clock)} onChange={setZone}>
      {read("soneca.zone") !== null && <Button onClick={() => setZone(null)}>{words.zoneLikeBrowser}</Button>}
    </ZoneField>
  );
}

function Session() {
  const { t, f } = useReader();
  const words = t.settings.you;
  const queries = useQueryClient();
  const { data: session } = useQuery(sessionQuery);
  const { isBusy, error, run } = useAsk();
  const signOut = () =>
    run(async () => {
      await call("closeSession");
      // Else whoever sits at the machine itself would be let in again at once.
      write("soneca.signed-out", "1");
      await queries.refetchQueries({ queryKey: sessionQuery.queryKey });
    });
  const choose = (team: string) =>
    run(async () => {
      await call("chooseTeam", { body: { team } });
      // Whatever is shown is of another team.
      await queries.resetQueries();
    });
  const way = session?.way ?? null;
  const until = session?.expires_at ? `, ${words.until(f.full(session.expires_at))}` : "";
  return (
    <>
      <div className="fld">
        <span className="lb">{session?.user?.name ?? "–"}</span>
        <p>
          {words.way} {way === null ? "–" : words.ways[way]}
          {until}
          {session?.team && `, ${t.team.yours(t.team.roles[session.team.role], session.team.name)}`}
        </p>
        {way !== "access" && (
          <Button isBusy={isBusy} onClick={signOut}>
            {t.common.action.signOut}
          </Button>
        )}
        {way === "access" && <p className="full">{words.accessOut}</p>}
      </div>
      {(session?.teams.length ?? 0) > 1 && (
        <div className="fld">
          <span className="lb">{t.team.members}</span>
          <div className="seg" role="group" aria-label={t.team.members}>
            {session!.teams.map(({ id, name }) => (
              <button key={id} type="button" aria-pressed={id === session!.team?.id} onClick={() => choose(id)}>
                {name}
              </button>
            ))}
          </div>
        </div>
      )}
      {error !== null && <FailureNote error={error} />}
    </>
  );
}
