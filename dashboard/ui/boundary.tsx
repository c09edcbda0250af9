/** A part that breaks takes nothing else with it. */
import { Component, type ErrorInfo, type ReactNode } from "react";
import { useReader } from "../i18n/context.tsx";
import { Button } from "./button.tsx";

export class Boundary extends Component<{ children: ReactNode }, { isBroken: boolean }> {
  override state = { isBroken: false };

  static getDerivedStateFromError() {
    return { isBroken: true };
  }

  override componentDidCatch(error: Error, info: ErrorInfo) {
    console.error(error, info.componentStack);
  }

  override render() {
    return this.state.isBroken ? <Broken /> : this.props.children;
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
