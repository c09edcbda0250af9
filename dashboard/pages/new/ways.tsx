import * as Tabs from "@radix-ui/react-tabs";
import { useState } from "react";
import { useReader } from "../../i18n/context.tsx";
import { Adopt } from "./adopt.tsx";
import { Rent } from "./rent.tsx";

export function Ways() {
  const { t } = useReader();
  const [way, setWay] = useState("rent");
  return (
    <Tabs.Root value={way} onValueChange={setWay} className="ways">
      <Tabs.List className="tabs flat" aria-label={t.fresh.title}>
        <Tabs.Trigger value="rent">{t.fresh.rent}</Tabs.Trigger>
        <Tabs.Trigger value="adopt">{t.fresh.adopt}</Tabs.Trigger>
      </Tabs.List>
      <Tabs.Content value="rent">
        <Rent />
      </Tabs.Content>
      <Tabs.Content value="adopt">
        <Adopt />
      </Tabs.Content>
    </Tabs.Root>
  );
}
