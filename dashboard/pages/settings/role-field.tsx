import { type Role, roles } from "../../../core/protocol/roles.ts";
import { useSession } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";

interface Props {
  value: Role;
  label: string;
  id?: string;
  onChange: (role: Role) => void;
}

/** The roles that the reader may give: none above their own. */
export function RoleSelect({ value, label, id, onChange }: Props) {
  const { t } = useReader();
  const own = useSession().data?.team?.role ?? "viewer";
  return (
    <select
      id={id}
      className="field"
      aria-label={label}
      value={value}
      onChange={(event) => onChange(event.target.value as Role)}
    >
      {roles.slice(0, roles.indexOf(own) + 1).map((role) => (
        <option key={role} value={role}>
          {t.team.roles[role]}
        </option>
      ))}
    </select>
  );
}
