/** Settings in words: a name that people know, and a value with its unit. */
import { useReader } from "../../i18n/context.tsx";
import { type FieldName, fieldNames, kindOf, unitOf } from "./policy-fields.ts";

export function usePolicyWords() {
  const { t, f } = useReader();
  const words = t.settings.policy;
  const fieldOf = (setting: string): FieldName | undefined => fieldNames.find((name) => name === setting);
  return {
    nameOf: (gpuType: string | null) => (gpuType === null ? words.forAll : words.forGpu(gpuType)),
    /** Null: one that is known by its technical name alone. */
    labelOf: (setting: string) => {
      const field = fieldOf(setting);
      return field ? words.fields[field].label : null;
    },
    valueWords: (setting: string, value: unknown): string => {
      const field = fieldOf(setting);
      if (typeof value === "boolean") return value ? words.on : words.off;
      if (!field) return typeof value === "string" ? value : JSON.stringify(value);
      if (kindOf(field) === "choice") return words.choices[value as keyof typeof words.choices];
      if (value === "auto") return words.auto;
      if (unitOf(field) === "minutes") return f.duration(Number(value) * 60_000);
      const digits = Number.isInteger(value) ? 0 : 1;
      return unitOf(field) === "percent" ? f.percent(Number(value), digits) : f.number(Number(value), digits);
    },
  };
}
