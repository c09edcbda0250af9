/** The catalogue. Portuguese has its type, so a word that is missing there does not compile. */
import { common } from "./en/common.ts";
import { config } from "./en/config.ts";
import { errors } from "./en/errors.ts";
import { events } from "./en/events.ts";
import { files } from "./en/files.ts";
import { instance } from "./en/instance.ts";
import { instances } from "./en/instances.ts";
import { fresh } from "./en/new.ts";
import { schedule } from "./en/schedule.ts";
import { signIn } from "./en/sign-in.ts";
import { wake } from "./en/wake.ts";

export const en = { common, errors, events, files, instance, instances, fresh, signIn, wake, config, schedule };
export type Words = typeof en;
