/** Another instance: rented, adopted, or made from a snapshot of one that is there. */
import { useQuery } from "@tanstack/react-query";
import { useSearchParams } from "wouter";
import { instanceQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { useTitle } from "../instances/page.tsx";
import { Clone } from "./clone.tsx";
import { Ways } from "./ways.tsx";

export default function NewPage() {
  const { t } = useReader();
  const [search] = useSearchParams();
  useTitle(t.fresh.title);
  const from = search.get("from");
  const seq = Number(search.get("snapshot") ?? "");
  return <div className="new-page card">{from ? <CloneOf id={from} seq={seq > 0 ? seq : null} /> : <Ways />}</div>;
}

function CloneOf({ id, seq }: { id: string; seq: number | null }) {
  const { data, error, refetch } = useQuery(instanceQuery(id));
  if (error && !data) return <FailureNote error={error} onRetry={refetch} />;
  return data ? <Clone source={data} seq={seq} /> : <div className="bone" style={{ width: "40%" }} />;
}
