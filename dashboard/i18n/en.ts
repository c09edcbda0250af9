/** The catalogue. Portuguese has its type, so a word that is missing there does not compile. */
import { common } from "./en/common.ts";
import { errors } from "./en/errors.ts";
import { events } from "./en/events.ts";
import { instance } from "./en/instance.ts";
import { instances } from "./en/instances.ts";
import { savings } from "./en/savings.ts";
import { settings } from "./en/settings.ts";
import { signIn } from "./en/sign-in.ts";

export const en = { common, errors, events, instance, instances, savings, settings, signIn };
export type Words = typeof en;
