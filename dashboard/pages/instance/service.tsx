/** Where its service is reached, and whether it can be now. */
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { CopyButton } from "../../ui/copy.tsx";

export function ServiceCard({ view }: { view: InstanceView }) {
  const { t } = useReader();
  const words = t.instance.proxy;
  const { url, pipe, is_open, trouble } = view.proxy;
  const { access, port } = view.auto_hibernation.proxy;
  const { wake_method } = view.auto_hibernation;
  return (
    <section className="card">
      <header>
        <h2>{words.title}</h2>
      </header>
      <div className="body">
        <p className="service-url">
          <a className="link mono" href={url} target="_blank" rel="noreferrer">
            {url}
          </a>
          <CopyButton text={url} label={words.copy} />
        </p>
        <dl className="kv">
          <dt>{words.port}</dt>
          <dd>{port}</dd>
          <dt>{words.access}</dt>
          <dd>{words.accessOf[access]}</dd>
          <dt>{words.now}</dt>
          <dd>{is_open && pipe ? words.open(words.pipe[pipe]) : words.closed}</dd>
          <dt>{words.request}</dt>
          <dd>{wake_method === "auto" ? words.wakes : words.wakesNot}</dd>
        </dl>
        {trouble && <p className="sub">{trouble}</p>}
      </div>
    </section>
  );
}
