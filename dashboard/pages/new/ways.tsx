import { useState } from "react";
import { useReader } from "../../i18n/context.tsx";
import { Tabs } from "../../ui/tabs.tsx";
import { Adopt, type Adopted } from "./adopt.tsx";
import { Rent } from "./rent.tsx";

/** `onAdopting`: told before a line that is shown once may come, and once nobody needs it any more. */
export function Ways({ onAdopting = () => undefined }: { onAdopting?: (isAdopting: boolean) => void }) {
  const { t } = useReader();
  const [way, setWay] = useState<"rent" | "adopt">("rent");
  // A look at the other tab does not lose it.
  const [adopted, setAdopted] = useState<Adopted | null>(null);
  const tabs = [
    { value: "rent", label: t.fresh.rent },
    { value: "adopt", label: t.fresh.adopt },
  ] as const;
  return (
    <div className="ways">
      <Tabs label={t.fresh.title} tabs={tabs} value={way} onChange={setWay} className="flat">
        {way === "rent" ? <Rent /> : <Adopt adopted={adopted} onAdopted={setAdopted} onAdopting={onAdopting} />}
      </Tabs>
    </div>
  );
}
