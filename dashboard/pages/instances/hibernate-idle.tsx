import { useQueryClient } from "@tanstack/react-query";
import { Moon } from "lucide-react";
import { useState } from "react";
import type { InstanceSummary } from "../../../core/protocol/views.ts";
import { call } from "../../api/client.ts";
import { instancesQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { machineBurn } from "../../parts/burn.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { useFailureWords } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useVoice } from "../../ui/toast.tsx";

/** The rows are those at the time of asking: what turns busy meanwhile is left out. */
export function HibernateIdle({ rows, onClose }: { rows: readonly InstanceSummary[]; onClose: () => void }) {
  const { t, f } = useReader();
  const queries = useQueryClient();
  const voice = useVoice();
  const words = useFailureWords();
  const [isBusy, setIsBusy] = useState(false);
  const price = rows.reduce((sum, row) => sum + machineBurn(row).microUsdPerHour, 0);
  const hibernateAll = async () => {
    setIsBusy(true);
    for (const row of rows) {
      try {
        await call("hibernateInstance", { params: { id: row.id } });
      } catch (error) {
        const { what, code } = words(error);
        voice.failed(`${row.name}: ${what}`, code);
      }
    }
    await queries.invalidateQueries({ queryKey: instancesQuery.queryKey });
    onClose();
  };
  return (
    <Dialog
      title={t.instances.hibernateIdleTitle(rows.length)}
      lead={t.instances.hibernateIdleWords(f.perHour(price))}
      isHeld={isBusy}
      onClose={onClose}
    >
      <ul className="sec names">
        {rows.map((row) => (
          <li key={row.id}>
            <b>{row.name}</b> <span className="muted">{f.perHour(machineBurn(row).microUsdPerHour)}</span>
          </li>
        ))}
      </ul>
      <footer>
        <div className="end">
          <Button tone="ghost" onClick={onClose}>
            {t.common.action.notNow}
          </Button>
          <Button tone="night" isBusy={isBusy} onClick={hibernateAll}>
            <Icon of={Moon} />
            {t.instances.hibernateIdle(rows.length)}
          </Button>
        </div>
      </footer>
    </Dialog>
  );
}
