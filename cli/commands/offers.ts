/** `soneca offers`: what could be rented now, before a create or for a wake. */
import { routes } from "../../core/protocol/api.ts";
import { command } from "../command.ts";
import { showOffers } from "../offers-words.ts";
import { checked, readNumber } from "../settings.ts";

export const offersCommand = command({
  name: "offers",
  description: "What could be rented now, with its price; with --instance as that one would wake",
  args: {
    gpu: { type: "string", valueHint: '"RTX 4090"', description: "GPU type; any, or the instance's own, without" },
    "gpu-count": { type: "string", valueHint: "N", description: "How many GPUs (1)" },
    region: { type: "string", valueHint: "CC", description: "Country code, or EU, NA, SA, AS, AF, OC" },
    disk: { type: "string", valueHint: "GB", description: "Disk (50)" },
    instance: {
      type: "string",
      valueHint: "ID",
      description: "Its spec, rules and history count where nothing is named",
    },
    limit: { type: "string", valueHint: "N", description: "At most this many (12)" },
  },
  async run({ call, resolve, output, now }, args) {
    const number = (flag: string, text: string | undefined) =>
      text === undefined ? undefined : readNumber(flag, text);
    const query = checked(routes.listOffers.query, {
      gpu_type: args.gpu,
      gpu_count: number("--gpu-count", args["gpu-count"]),
      region: args.region,
      disk_gb: number("--disk", args.disk),
      limit: number("--limit", args.limit),
    });
    const instance = args.instance === undefined ? {} : { instance: await resolve(args.instance) };
    const answer = await call("listOffers", { query: { ...query, ...instance } });
    output.document(answer);
    if (!output.json) output.print(showOffers(answer, now));
  },
});
