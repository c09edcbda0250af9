/** What a snapshot holds, folder by folder, and what another one holds otherwise. Nothing is woken for it. */
import { useQuery } from "@tanstack/react-query";
import { type FormEvent, useId } from "react";
import { Link, useLocation, useSearchParams } from "wouter";
import { instanceQuery, snapshotsQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { useTitle } from "../instances/page.tsx";
import { Changes } from "./changes.tsx";
import { Folder } from "./folder.tsx";

export default function FilesPage({ id, seq }: { id: string; seq: number }) {
  const { t } = useReader();
  const [search, setSearch] = useSearchParams();
  const path = search.get("path") ?? "";
  const text = search.get("q") ?? "";
  const since = Number(search.get("since") ?? "") || null;
  const { data: view } = useQuery(instanceQuery(id));
  useTitle(`${t.files.title(seq)}: ${view?.name ?? id}`);
  const change = (values: Record<string, string | null>) =>
    setSearch((before) => {
      const next = new URLSearchParams(before);
      for (const [name, value] of Object.entries(values)) {
        if (value) next.set(name, value);
        else next.delete(name);
      }
      return next;
    });
  return (
    <>
      <div className="headline">
        <div>
          <h1>{t.files.title(seq)}</h1>
          <p>{t.files.lead}</p>
        </div>
        <Choices id={id} seq={seq} since={since} onSince={(value) => change({ since: value, q: null })} />
      </div>
      <section className="card clips">
        {since === null ? (
          <>
            <Bar key={`${path}|${text}`} id={id} seq={seq} path={path} text={text} onSearch={(q) => change({ q })} />
            <Folder id={id} seq={seq} path={path} text={text} onOpen={(folder) => change({ path: folder, q: null })} />
          </>
        ) : (
          <Changes id={id} seq={seq} since={since} />
        )}
      </section>
      <div>
        <Link className="link" href={`/i/${id}`}>
          {t.common.action.back}: {view?.name ?? id}
        </Link>
      </div>
    </>
  );
}

interface ChoicesProps {
  id: string;
  seq: number;
  since: number | null;
  onSince: (since: string | null) => void;
}

function Choices({ id, seq, since, onSince }: ChoicesProps) {
  const { t, f } = useReader();
  const [, go] = useLocation();
  const field = useId();
  const { data } = useQuery(snapshotsQuery(id));
  const now = Date.now();
  const word = (one: NonNullable<typeof data>[number]) =>
    t.files.option(one.seq, f.moment(one.created_at, now), one.kind ? t.instance.snapshots.kind[one.kind] : "");
  return (
    <div className="row end">
      <div className="stacked">
        <label htmlFor={`${field}-a`}>{t.files.snapshot}</label>
        <select
          id={`${field}-a`}
          className="inp"
          value={seq}
          onChange={(event) => go(`/i/${id}/files/${event.target.value}`)}
        >
          {!data?.some((one) => one.seq === seq) && <option value={seq}>{seq}</option>}
          {data?.map((one) => (
            <option key={one.seq} value={one.seq}>
              {word(one)}
            </option>
          ))}
        </select>
      </div>
      <div className="stacked">
        <label htmlFor={`${field}-b`}>{t.files.compare}</label>
        <select
          id={`${field}-b`}
          className="inp"
          value={since ?? ""}
          onChange={(event) => onSince(event.target.value || null)}
        >
          <option value="">{t.files.compareNone}</option>
          {data
            ?.filter((one) => one.seq !== seq)
            .map((one) => (
              <option key={one.seq} value={one.seq}>
                {word(one)}
              </option>
            ))}
        </select>
      </div>
    </div>
  );
}

interface BarProps {
  id: string;
  seq: number;
  path: string;
  text: string;
  onSearch: (text: string | null) => void;
}

/** Where one is, and the search below it. */
function Bar({ id, seq, path, text, onSearch }: BarProps) {
  const { t } = useReader();
  const parts = path === "" ? [] : path.split("/");
  const field = useId();
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    onSearch(String(new FormData(event.currentTarget).get("q")).trim() || null);
  };
  return (
    <div className="files-bar">
      <nav aria-label={t.files.path} className="path">
        <Link href={`/i/${id}/files/${seq}`}>{t.files.root}</Link>
        {parts.map((part, i) => (
          <span key={parts.slice(0, i + 1).join("/")}>
            <i aria-hidden="true">/</i>
            <Link
              href={`/i/${id}/files/${seq}?path=${encodeURIComponent(parts.slice(0, i + 1).join("/"))}`}
              aria-current={i === parts.length - 1 ? "page" : undefined}
            >
              {part}
            </Link>
          </span>
        ))}
      </nav>
      <form onSubmit={submit} className="row" role="search">
        <label className="vh" htmlFor={field}>
          {t.files.search}
        </label>
        <input
          id={field}
          name="q"
          type="search"
          className="field"
          defaultValue={text}
          placeholder={t.files.search}
          maxLength={200}
        />
        {text !== "" && <Button onClick={() => onSearch(null)}>{t.files.clear}</Button>}
      </form>
    </div>
  );
}
