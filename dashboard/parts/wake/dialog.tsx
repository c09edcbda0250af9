import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { useInstanceAction } from "../actions.ts";

export function WakeDialog({ id, name, onClose }: { id: string; name: string; onClose: () => void }) {
  const { t } = useReader();
  const action = useInstanceAction(id);
  return (
    <Dialog title={`${t.common.action.wake} ${name}`} onClose={onClose}>
      <footer>
        <Button tone="lamp" isBusy={action.isBusy} onClick={async () => (await action.wake()) && onClose()}>
          {t.common.action.wake}
        </Button>
      </footer>
    </Dialog>
  );
}
