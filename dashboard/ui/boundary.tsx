/** A part that breaks, or whose program cannot be fetched, takes nothing else with it. */
import { Component, type ErrorInfo, type ReactNode } from "react";
import { useReader } from "../i18n/context.tsx";
import { Button } from "./button.tsx";

interface Props {
  /** Where the words stand when the part itself would have stood elsewhere, a dialog for one. */
  frame?: (words: ReactNode) => ReactNode;
  children: ReactNode;
}

export class Boundary extends Component<Props, { isBroken: boolean }> {
  override state = { isBroken: false };

  static getDerivedStateFromError() {
    return { isBroken: true };
  }

  override componentDidCatch(error: Error, info: ErrorInfo) {
    console.error(error, info.componentStack);
  }

  override render() {
    const { frame = (words) => words, children } = this.props;
    return this.state.isBroken ? frame(<Broken />) : children;
  }
}

function Broken() {
  const { t } = useReader();
  return (
    <div className="failure" role="alert">
      <p>
        <b>{t.errors.broken}</b> {t.errors.brokenNext}
      </p>
      <Button onClick={() => location.reload()}>{t.common.action.reload}</Button>
    </div>
  );
}
