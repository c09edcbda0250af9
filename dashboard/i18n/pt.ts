import type { Words } from "./en.ts";
import { common } from "./pt/common.ts";
import { config } from "./pt/config.ts";
import { errors } from "./pt/errors.ts";
import { events } from "./pt/events.ts";
import { files } from "./pt/files.ts";
import { instance } from "./pt/instance.ts";
import { instances } from "./pt/instances.ts";
import { fresh } from "./pt/new.ts";
import { schedule } from "./pt/schedule.ts";
import { signIn } from "./pt/sign-in.ts";
import { wake } from "./pt/wake.ts";

export const ptBR: Words = {
  common,
  errors,
  events,
  files,
  instance,
  instances,
  fresh,
  signIn,
  wake,
  config,
  schedule,
};
