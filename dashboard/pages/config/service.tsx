/** How its services are reached, what requests may do while it sleeps, and who may send them. */
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { useMay } from "../../parts/may.ts";
import { Command } from "../../ui/copy.tsx";
import { Choices, Field, NumberField, OwnersFields, Rich, Side, SwitchField, TextField } from "./fields.tsx";
import { Keys } from "./keys.tsx";
import { readPaths, readPorts } from "./units.ts";
import { useForm } from "./use-form.ts";

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

export function ServiceTab({ view }: { view: InstanceView }) {
  const may = useMay();
  const { t } = useReader();
  const words = t.config.service;
  return (
    <>
      <div>
        <WakeMethod />
        <OwnersFields>
          <NumberField name="proxy.port" label={words.port} hint={words.portHint} unit="" isWhole />
          <TextField
            name="proxy.more_ports"
            label={words.morePorts}
            hint={words.morePortsHint}
            read={readPorts}
            write={(ports: number[]) => ports.join(", ")}
            problem="ports"
          />
          <SwitchField name="proxy.keep_prefix" label={words.prefix} hint={words.prefixHint} />
          <WakeMethods />
          <Paths name="proxy.wake_paths" label={words.wakePaths} hint={words.wakePathsHint} />
          <Paths name="proxy.quiet_paths" label={words.quietPaths} hint={words.quietPathsHint} rows={5} />
          <NumberField
            name="proxy.wakes_per_hour"
            label={words.wakesPerHour}
            hint={words.wakesPerHourHint}
            unit=""
            isWhole
          />
          <NumberField
            name="proxy.max_micro_usd_per_day"
            label={words.money}
            hint={words.moneyHint}
            unit="US$"
            per={1_000_000}
            mayBeEmpty
          />
          <NumberField name="proxy.hold_seconds" label={words.hold} hint={words.holdHint} unit={t.config.idle.s} />
        </OwnersFields>
      </div>
      <Side>
        <ServiceWords />
        <Command text={view.proxy.url} label={words.address} />
        <OwnersFields>
          <Access />
        </OwnersFields>
        {may("createProxyKey") && <Keys id={view.id} />}
      </Side>
    </>
  );
}

function ServiceWords() {
  const { t, f } = useReader();
  const { draft } = useForm();
  const words = t.config.service;
  const limit = draft.proxy.max_micro_usd_per_day;
  const says =
    draft.wake_method === "auto"
      ? words.wakesWords(f.number(draft.proxy.wakes_per_hour), limit === null ? null : f.money(limit))
      : words.sleepsWords;
  return (
    <p className="words">
      <Rich words={says} />
    </p>
  );
}

function WakeMethod() {
  const { t } = useReader();
  const form = useForm();
  const words = t.config.service;
  return (
    <Field names={["wake_method"]} label={words.method} isWide isGroup>
      {() => (
        <Choices
          name="wake_method"
          value={form.draft.wake_method}
          choices={(["manual", "auto", "scheduled"] as const).map((value) => ({
            value,
            label: words.methods[value],
            hint: words.methodHints[value],
          }))}
          onChange={(value) => form.set("wake_method", value)}
        />
      )}
    </Field>
  );
}

function WakeMethods() {
  const { t } = useReader();
  const form = useForm();
  const words = t.config.service;
  const chosen: readonly string[] = form.draft.proxy.wake_methods;
  return (
    <Field names={["proxy.wake_methods"]} label={words.requestMethods} hint={words.requestMethodsHint} isWide isGroup>
      {() => (
        <div className="cks methods">
          {methods.map((method) => (
            <label key={method}>
              <input
                className="ck"
                type="checkbox"
                checked={chosen.includes(method)}
                onChange={({ target }) =>
                  form.set(
                    "proxy.wake_methods",
                    methods.filter((one) => (one === method ? target.checked : chosen.includes(one))),
                  )
                }
              />
              {method}
            </label>
          ))}
        </div>
      )}
    </Field>
  );
}

function Paths(props: { name: "proxy.wake_paths" | "proxy.quiet_paths"; label: string; hint: string; rows?: number }) {
  return (
    <TextField
      {...props}
      rows={props.rows ?? 2}
      read={readPaths}
      write={(paths: string[]) => paths.join("\n")}
      problem="paths"
    />
  );
}

function Access() {
  const { t } = useReader();
  const form = useForm();
  const words = t.config.service;
  return (
    <Field names={["proxy.access"]} label={words.access} isWide isGroup>
      {() => (
        <Choices
          name="access"
          value={form.draft.proxy.access}
          choices={[
            { value: "key", label: words.byKey, hint: words.byKeyHint },
            { value: "public", label: words.public, hint: words.publicHint },
          ]}
          onChange={(value) => form.set("proxy.access", value)}
        />
      )}
    </Field>
  );
}
