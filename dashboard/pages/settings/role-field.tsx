import { type Role, roles } from "../../../core/protocol/roles.ts";
import { useSession } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";

interface Props {
  value: Role;
  label: string;
  id?: string;
  onChange: (role: Role) => void;
}

/** With what the roles may do. */
export function RoleField({ id, ...props }: Required<Pick<Props, "id">> & Pick<Props, "value" | "onChange">) {
  const { t } = useReader();
  return (
    <div className="text-field">
      <label htmlFor={id}>{t.team.role}</label>
      <RoleSelect id={id} label={t.team.role} {...props} />
      <p className="sub">{t.team.roleHint}</p>
    </div>
  );
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
