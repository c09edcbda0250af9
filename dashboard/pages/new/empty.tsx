/** First run: the two ways to a first sleeping machine, without a word of documentation. */
import { useReader } from "../../i18n/context.tsx";
import { Illustration } from "./illustration.tsx";
import { Ways } from "./ways.tsx";

export function EmptyState({ onAdopting }: { onAdopting: (isAdopting: boolean) => void }) {
  const { t } = useReader();
  return (
    <div className="empty">
      <div>
        <h1>{t.fresh.emptyTitle}</h1>
        <p className="lead">{t.fresh.emptyLead}</p>
        <Ways onAdopting={onAdopting} />
      </div>
      <Illustration />
    </div>
  );
}
