/** One request at a time; what went wrong with the last stays to be read, or is forgotten. */
import { useState } from "react";

export function useAsk() {
  const [isBusy, setIsBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async (ask: () => Promise<void>) => {
    setIsBusy(true);
    setError(null);
    try {
      await ask();
    } catch (failed) {
      setError(failed);
    } finally {
      setIsBusy(false);
    }
  };
  return { isBusy, error, run, forget: () => setError(null) };
}
