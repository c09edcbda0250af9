import { useState } from "react";
import { useReader } from "../../i18n/context.tsx";
import { Tabs } from "../../ui/tabs.tsx";
import { Adopt } from "./adopt.tsx";
import { Rent } from "./rent.tsx";

export function Ways() {
  const { t } = useReader();
  const [way, setWay] = useState<"rent" | "adopt">("rent");
  const tabs = [
    { value: "rent", label: t.fresh.rent },
    { value: "adopt", label: t.fresh.adopt },
  ] as const;
  return (
    <div className="ways">
      <Tabs label={t.fresh.title} tabs={tabs} value={way} onChange={setWay} className="flat">
        {way === "rent" ? <Rent /> : <Adopt />}
      </Tabs>
    </div>
  );
}
