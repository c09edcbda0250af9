import type { Words } from "./en.ts";
import { common } from "./pt/common.ts";
import { config } from "./pt/config.ts";
import { errors } from "./pt/errors.ts";
import { events } from "./pt/events.ts";
import { files } from "./pt/files.ts";
import { instance } from "./pt/instance.ts";
import { instances } from "./pt/instances.ts";
import { fresh } from "./pt/new.ts";
import { savings } from "./pt/savings.ts";
import { schedule } from "./pt/schedule.ts";
import { settings } from "./pt/settings.ts";
import { signIn } from "./pt/sign-in.ts";
import { team } from "./pt/team.ts";
import { wake } from "./pt/wake.ts";

export const ptBR: Words = {
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
