import { useReader } from "../../i18n/context.tsx";
import { Dialog } from "../../ui/dialog.tsx";

export function KeysHelp({ onClose }: { onClose: () => void }) {
  const { t } = useReader();
  const words = t.instances.keys;
  const rows: [string[], string][] = [
    [["J", "K"], words.move],
    [["Enter"], words.open],
    [["W"], words.wake],
    [["H"], words.hibernate],
    [["/"], words.search],
    [["?"], words.help],
  ];
  return (
    <Dialog title={words.title} onClose={onClose}>
      <dl className="sec kv keys">
        {rows.map(([keys, word]) => (
          <div key={word}>
            <dt>{word}</dt>
            <dd>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  );
}
