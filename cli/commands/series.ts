/** `soneca instance series`: what its GPUs did over time. */
import { routes } from "../../core/protocol/api.ts";
import { seriesSpans } from "../../core/protocol/live.ts";
import { command, idArg } from "../command.ts";
import { showSeries } from "../series-words.ts";
import { checked } from "../settings.ts";

export const seriesCommand = command({
  name: "series",
  description: "What its GPUs did over time, with its states and turning points",
  args: {
    ...idArg,
    span: { type: "string", valueHint: seriesSpans.join("|"), description: "How far back (6h)" },
  },
  async run({ call, resolve, output, now }, args) {
    const query = checked(routes.getSeries.query, { span: args.span });
    const answer = await call("getSeries", { params: { id: await resolve(args.id) }, query });
    output.document(answer);
    if (!output.json) output.print(showSeries(answer, now));
  },
});
