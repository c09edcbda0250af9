/** What is the reader's own: how the page speaks, who may use the API, and what holds for all instances. */
import { useEffect } from "react";
import { useReader } from "../../i18n/context.tsx";
import { useMay } from "../../parts/may.ts";
import { useTitle } from "../instances/page.tsx";
import { About } from "./about.tsx";
import { Channels } from "./channels.tsx";
import { Notifications } from "./notifications.tsx";
import { Policies } from "./policies.tsx";
import { Audit, Members, ProviderKey } from "./team.tsx";
import { Tokens } from "./tokens.tsx";
import { You } from "./you.tsx";

export function SettingsPage() {
  const { t } = useReader();
  const words = t.settings;
  useTitle(words.title);
  // This page arrives after its address was read, so the browser has not found the part that it names.
  useEffect(() => {
    if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
  }, []);
  const may = useMay();
  const parts = [
    { id: "you", title: words.you.title },
    { id: "tokens", title: words.tokens.title },
    ...(may("addMember") ? [{ id: "team", title: t.team.members }] : []),
    ...(may("setProviderKey") ? [{ id: "key", title: t.team.key }] : []),
    { id: "defaults", title: words.policy.title },
    { id: "channels", title: words.channels.title },
    { id: "notifications", title: words.notifications.title },
    ...(may("listAudit") ? [{ id: "audit", title: t.team.log }] : []),
    { id: "about", title: words.about.title },
  ];
  return (
    <div className="settings">
      <nav className="parts" aria-label={words.nav}>
        {parts.map(({ id, title }) => (
          <a key={id} href={`#${id}`}>
            {title}
          </a>
        ))}
      </nav>
      <div className="stack">
        <You />
        <Tokens />
        {may("addMember") && <Members />}
        {may("setProviderKey") && <ProviderKey />}
        <Policies />
        <Channels />
        <Notifications />
        {may("listAudit") && <Audit />}
        <About />
      </div>
    </div>
  );
}
