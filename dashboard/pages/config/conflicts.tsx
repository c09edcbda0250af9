/** What somebody else changed while the form was open: told before anything is written over it. */
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { type SettingName, valueAt } from "./form.ts";
import { settingWords } from "./setting-words.ts";
import type { Form } from "./use-form.ts";
import type { useSave } from "./use-save.ts";

export function Conflicts({ form, save }: { form: Form; save: ReturnType<typeof useSave> }) {
  const { t, f } = useReader();
  const words = t.config.conflict;
  if (save.conflicts.length === 0) return null;
  const shown = (name: SettingName): string => {
    const value = valueAt(form.loaded, name);
    if (typeof value === "boolean") return value ? words.on : words.off;
    if (typeof value === "number" && name === "proxy.max_micro_usd_per_day") return f.money(value);
    if (typeof value === "number") return f.number(value, Number.isInteger(value) ? 0 : 2);
    return typeof value === "string" ? value : words.another;
  };
  return (
    <div className="foot-note conflict" role="alert">
      <p>{words.title}</p>
      <ul>
        {save.conflicts.map((name) => (
          <li key={name}>
            <b>{settingWords(name, t)}</b> {words.isNow(shown(name))}
          </li>
        ))}
      </ul>
      <div className="row">
        <Button onClick={save.keepMine}>{words.mine}</Button>
        <Button tone="ghost" onClick={save.takeTheirs}>
          {words.theirs}
        </Button>
      </div>
    </div>
  );
}
