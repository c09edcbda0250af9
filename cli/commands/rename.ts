import { routes } from "../../core/protocol/api.ts";
import { command, idArg } from "../command.ts";
import { checked } from "../settings.ts";

export const renameCommand = command({
  name: "rename",
  description: "Give it another name",
  args: { ...idArg, name: { type: "positional", required: true, description: "The new one" } },
  async run({ call, output, resolve }, args) {
    const body = checked(routes.renameInstance.body, { name: args.name });
    const view = await call("renameInstance", { params: { id: await resolve(args.id) }, body });
    output.document(view);
    output.print(`${view.id} is ${view.name} now.`);
  },
});
