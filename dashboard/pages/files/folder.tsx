import { useInfiniteQuery } from "@tanstack/react-query";
import { Cable, Download, File, Folder as FolderIcon, Link2, type LucideIcon } from "lucide-react";
import type { EntryView } from "../../../core/protocol/browse.ts";
import { addressOf, call } from "../../api/client.ts";
import { useReader } from "../../i18n/context.tsx";
import { useMay } from "../../parts/may.ts";
import { Button } from "../../ui/button.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";

interface Props {
  id: string;
  seq: number;
  path: string;
  text: string;
  onOpen: (path: string) => void;
}

const icons: Record<EntryView["kind"], LucideIcon> = {
  file: File,
  folder: FolderIcon,
  link: Link2,
  fifo: Cable,
  device: Cable,
  other: File,
};

export function Folder({ id, seq, path, text, onOpen }: Props) {
  const { t } = useReader();
  const query = useInfiniteQuery({
    queryKey: ["files", id, seq, path, text],
    queryFn: ({ pageParam }) =>
      call("listFiles", {
        params: { id, seq: String(seq) },
        query: { path, ...(text && { search: text }), ...(pageParam && { after: pageParam }), limit: 200 },
      }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_after,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const entries = query.data?.pages.flatMap((page) => page.entries);
  if (!entries) {
    return (
      <div className="body">
        {query.error ? (
          <FailureNote error={query.error} onRetry={query.refetch} />
        ) : (
          <div className="bone" style={{ width: "40%" }} />
        )}
      </div>
    );
  }
  return (
    <>
      {text !== "" && <p className="body sub">{t.files.searching(text)}</p>}
      {entries.length === 0 && !query.hasNextPage ? (
        <p className="body sub">{text === "" ? t.files.empty : t.files.nothing}</p>
      ) : (
        <table className="tbl files">
          <caption className="vh">{t.files.caption(path === "" ? t.files.root : path)}</caption>
          <thead>
            <tr>
              <th scope="col">{t.files.columns.name}</th>
              <th scope="col" className="num">
                {t.files.columns.size}
              </th>
              <th scope="col" className="hide-s">
                {t.files.columns.modified}
              </th>
              <th scope="col" className="hide-s">
                {t.files.columns.mode}
              </th>
              <th scope="col">
                <span className="vh">{t.common.action.copy}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {entries.map((entry) => (
              <Row key={entry.path} id={id} seq={seq} entry={entry} isFound={text !== ""} onOpen={onOpen} />
            ))}
          </tbody>
        </table>
      )}
      {query.hasNextPage && (
        <div className="body">
          {query.error && <FailureNote error={query.error} />}
          <Button isBusy={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
            {t.files.more}
          </Button>
        </div>
      )}
    </>
  );
}

function Row({
  id,
  seq,
  entry,
  isFound,
  onOpen,
}: {
  id: string;
  seq: number;
  entry: EntryView;
  isFound: boolean;
  onOpen: (path: string) => void;
}) {
  const { t, f } = useReader();
  const may = useMay();
  const { path, name, kind, size_bytes, entries, total_bytes, modified_at, mode, target } = entry;
  const shown = isFound ? path : name;
  return (
    <tr className="r">
      <td className="file-name">
        <Icon of={icons[kind]} />
        <span className="vh">{t.files.kind[kind]}</span>
        {kind === "folder" ? (
          <button type="button" className="plain link" onClick={() => onOpen(path)}>
            {shown}
          </button>
        ) : (
          shown
        )}
        {target !== null && <span className="muted"> {t.files.to(target)}</span>}
      </td>
      <td className="num nw">
        {kind === "folder"
          ? total_bytes === null
            ? "–"
            : f.bytes(total_bytes)
          : size_bytes === null
            ? "–"
            : f.bytes(size_bytes)}
        {entries !== null && <div className="sub">{t.files.entries(entries, f.number(entries))}</div>}
      </td>
      <td className="nw hide-s">{modified_at === null ? "–" : f.moment(modified_at, Date.now())}</td>
      <td className="mono hide-s">{mode ?? "–"}</td>
      <td className="c-act">
        {kind === "file" && may("getFile") && (
          <a
            className="btn ghost icon"
            href={addressOf("getFile", { params: { id, seq: String(seq) }, query: { path } })}
            download
            aria-label={t.files.download(name)}
          >
            <Icon of={Download} />
          </a>
        )}
      </td>
    </tr>
  );
}
