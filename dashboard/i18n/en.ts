/** The catalogue. Portuguese has its type, so a word that is missing there does not compile. */
import { common } from "./en/common.ts";
import { config } from "./en/config.ts";
import { errors } from "./en/errors.ts";
import { events } from "./en/events.ts";
import { files } from "./en/files.ts";
import { instance } from "./en/instance.ts";
import { instances } from "./en/instances.ts";
import { fresh } from "./en/new.ts";
import { savings } from "./en/savings.ts";
import { schedule } from "./en/schedule.ts";
import { settings } from "./en/settings.ts";
import { signIn } from "./en/sign-in.ts";
import { team } from "./en/team.ts";
import { wake } from "./en/wake.ts";

export const en = {
  common,
  config,
  errors,
  events,
  files,
  fresh,
  instance,
  instances,
  savings,
  schedule,
  settings,
  signIn,
  team,
  wake,
};
export type Words = typeof en;
