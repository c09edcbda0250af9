/** Something that is asked of the API once, and ends the part of the page that asked; what went wrong stays to be read. */
import { useState } from "react";

export function useDeed() {
  const [isBusy, setIsBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const run = async (act: () => Promise<void>): Promise<void> => {
    setIsBusy(true);
    setError(null);
    try {
      await act();
    } catch (failure) {
      setError(failure);
      setIsBusy(false);
    }
  };
  return { isBusy, error, run, forget: () => setError(null) };
}
