import { useInfiniteQuery } from "@tanstack/react-query";
import { Minus, Pencil, Plus } from "lucide-react";
import { call } from "../../api/client.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";

const icons = { added: Plus, removed: Minus, changed: Pencil };
const tones = { added: "run-t", removed: "bad-t", changed: "idle-t" };

export function Changes({ id, seq, since }: { id: string; seq: number; since: number }) {
  const { t, f } = useReader();
  const query = useInfiniteQuery({
    queryKey: ["changes", id, seq, since],
    queryFn: ({ pageParam }) =>
      call("listChanges", {
        params: { id, seq: String(seq) },
        query: { since, ...(pageParam && { after: pageParam }), limit: 200 },
      }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_after,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const pages = query.data?.pages;
  if (!pages) {
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
  const rows = pages.flatMap((page) => page.changes);
  const totals = pages.findLast((page) => page.totals !== null)?.totals;
  const size = (bytes: number | null) => (bytes === null ? "–" : f.bytes(bytes));
  return (
    <>
      {rows.length === 0 && !query.hasNextPage && <p className="body big">{t.files.same}</p>}
      {totals && rows.length > 0 && (
        <p className="body big">
          {t.files.totals(f.number(totals.added), f.number(totals.changed), f.number(totals.removed))}
        </p>
      )}
      {rows.length > 0 && (
        <table className="tbl files">
          <caption className="vh">{t.files.changesCaption(since, seq)}</caption>
          <thead>
            <tr>
              <th scope="col">{t.files.columns.name}</th>
              <th scope="col">{t.files.columns.what}</th>
              <th scope="col" className="num hide-s">
                {t.files.columns.before}
              </th>
              <th scope="col" className="num">
                {t.files.columns.after}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.path} className="r">
                <td className="file-name">{row.path}</td>
                <td className={`nw ${tones[row.what]}`}>
                  <span className="proof">
                    <Icon of={icons[row.what]} />
                    {t.files.what[row.what]}
                  </span>
                </td>
                <td className="num nw hide-s">{size(row.size_before_bytes)}</td>
                <td className="num nw">{size(row.size_after_bytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {query.hasNextPage && (
        <div className="body">
          <Button isBusy={query.isFetchingNextPage} onClick={() => query.fetchNextPage()}>
            {t.files.more}
          </Button>
        </div>
      )}
    </>
  );
}
