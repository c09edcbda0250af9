/** A card of the settings, with the name that the way to it has. */
import type { ReactNode } from "react";

interface PartProps {
  id: string;
  title: string;
  lead?: string;
  action?: ReactNode;
  children: ReactNode;
}

export function Part({ id, title, lead, action, children }: PartProps) {
  return (
    <section className="card part" id={id} aria-labelledby={`${id}-title`}>
      <header>
        <div>
          <h2 id={`${id}-title`}>{title}</h2>
          {lead && <p className="sub">{lead}</p>}
        </div>
        {action && <div className="end">{action}</div>}
      </header>
      <div className="body">{children}</div>
    </section>
  );
}
