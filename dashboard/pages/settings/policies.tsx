/** What holds for instances that did not decide themselves: for all of them, and before that for those of a GPU type. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useState } from "react";
import type { AnswerOf } from "../../../core/protocol/api.ts";
import { call } from "../../api/client.ts";
import { policiesQuery } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { useMay } from "../../parts/may.ts";
import { useAsk } from "../../parts/use-ask.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Stale } from "../instances/page.tsx";
import { Part } from "./part.tsx";
import { LineBones, TwoLists } from "./pieces.tsx";
import { leavesOf, settingAt } from "./policy-fields.ts";
import { PolicyForm } from "./policy-form.tsx";
import { usePolicyWords } from "./policy-words.ts";

type Policy = AnswerOf<"listPolicies">["policies"][number];
type Reached = AnswerOf<"putPolicy">["instances"];

export function Policies() {
  const { t } = useReader();
  const words = t.settings.policy;
  const { data, error, dataUpdatedAt, refetch } = useQuery(policiesQuery);
  const [editing, setEditing] = useState<Policy | "new" | null>(null);
  const [removing, setRemoving] = useState<Policy | null>(null);
  const [reached, setReached] = useState<Reached | null>(null);
  const may = useMay();
  const forAll = data?.find((policy) => policy.gpu_type === null) ?? nothing;
  const ofTypes = data?.filter((policy) => policy.gpu_type !== null) ?? [];
  return (
    <Part
      id="defaults"
      title={words.title}
      lead={words.words}
      action={
        may("putPolicy") && (
          <Button onClick={() => setEditing("new")}>
            <Icon of={Plus} />
            {words.add}
          </Button>
        )
      }
    >
      <p role="status" className={reached ? "note" : undefined}>
        {reached && words.reached(reached.told, reached.waiting)}
      </p>
      {error && data && <Stale error={error} at={dataUpdatedAt} onRetry={refetch} />}
      {data ? (
        <div className={`policies${error ? " dimmed" : ""}`}>
          {[forAll, ...ofTypes].map((policy) => (
            <PolicyCard
              key={policy.gpu_type ?? ""}
              policy={policy}
              onEdit={() => setEditing(policy)}
              onRemove={() => setRemoving(policy)}
            />
          ))}
          {ofTypes.length === 0 && <p className="sub">{words.nonePerGpu}</p>}
        </div>
      ) : error ? (
        <FailureNote error={error} onRetry={refetch} />
      ) : (
        <LineBones />
      )}
      {editing && (
        <PolicyForm
          policy={editing === "new" ? null : editing}
          policies={data ?? []}
          onSaved={setReached}
          onClose={() => setEditing(null)}
        />
      )}
      {removing && <Remove policy={removing} onRemoved={setReached} onClose={() => setRemoving(null)} />}
    </Part>
  );
}

const nothing: Policy = { gpu_type: null, auto_hibernation: {}, updated_at: "" };

function PolicyCard({ policy, onEdit, onRemove }: { policy: Policy; onEdit: () => void; onRemove: () => void }) {
  const { t } = useReader();
  const words = t.settings.policy;
  const { labelOf, valueWords, nameOf } = usePolicyWords();
  const may = useMay();
  const named = leavesOf(policy.auto_hibernation);
  const name = nameOf(policy.gpu_type);
  return (
    <div className="policy">
      <div className="row">
        <h3>{name}</h3>
        {may("putPolicy") && (
          <div className="row end">
            <Button aria-label={words.editNamed(name)} onClick={onEdit}>
              {words.edit}
            </Button>
            {named.length > 0 && (
              <Button tone="danger" aria-label={words.removeNamed(name)} onClick={onRemove}>
                {words.remove}
              </Button>
            )}
          </div>
        )}
      </div>
      {named.length === 0 ? (
        <p className="sub">{words.none}</p>
      ) : (
        <dl className="kv">
          {named.map((setting) => (
            <div key={setting}>
              <dt>{labelOf(setting) ?? <span className="mono">{setting}</span>}</dt>
              <dd>{valueWords(setting, settingAt(policy.auto_hibernation, setting))}</dd>
            </div>
          ))}
        </dl>
      )}
    </div>
  );
}

interface RemoveProps {
  policy: Policy;
  onRemoved: (reached: Reached) => void;
  onClose: () => void;
}

function Remove({ policy, onRemoved, onClose }: RemoveProps) {
  const { t } = useReader();
  const words = t.settings.policy;
  const queries = useQueryClient();
  const { labelOf, nameOf } = usePolicyWords();
  const { isBusy, error, run } = useAsk();
  const remove = () =>
    run(async () => {
      const { gpu_type } = policy;
      const { instances } = await call("deletePolicy", { query: gpu_type === null ? {} : { gpu_type } });
      await queries.invalidateQueries({ queryKey: policiesQuery.queryKey });
      void queries.invalidateQueries({ queryKey: ["instance"] });
      onRemoved(instances);
      onClose();
    });
  const named = leavesOf(policy.auto_hibernation).map((setting) => labelOf(setting) ?? setting);
  return (
    <Dialog
      title={words.removeTitle(nameOf(policy.gpu_type))}
      lead={words.removeWords}
      isAlert
      isHeld={isBusy}
      onClose={onClose}
    >
      <div className="sec">
        <TwoLists gone={{ title: words.falls, words: named }} kept={{ title: words.keeps, words: words.keepsWords }} />
        {error !== null && <FailureNote error={error} />}
      </div>
      <footer>
        <div className="end">
          <Button tone="ghost" onClick={onClose}>
            {t.common.action.cancel}
          </Button>
          <Button tone="danger" isBusy={isBusy} onClick={remove}>
            {words.remove}
          </Button>
        </div>
      </footer>
    </Dialog>
  );
}
