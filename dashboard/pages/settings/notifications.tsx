/** Only what this browser itself can do: there are no other channels. */
import { useState } from "react";
import { useReader } from "../../i18n/context.tsx";
import { notifyPermission } from "../../parts/notify.ts";
import { Button } from "../../ui/button.tsx";
import { Part } from "./part.tsx";

type State = "on" | "ask" | "denied" | "none";

function stateNow(): State {
  const permission = notifyPermission();
  const states = { granted: "on", default: "ask", denied: "denied" } as const;
  return permission === null ? "none" : states[permission];
}

export function Notifications() {
  const { t } = useReader();
  const words = t.settings.notifications;
  const [state, setState] = useState(stateNow);
  const ask = async () => {
    await Notification.requestPermission();
    setState(stateNow());
  };
  return (
    <Part id="notifications" title={words.title} lead={words.words}>
      <div className="fld">
        <span className="lb">{words.state}</span>
        <p role="status">{words[state]}</p>
        {state === "ask" && <Button onClick={ask}>{words.allow}</Button>}
      </div>
    </Part>
  );
}
