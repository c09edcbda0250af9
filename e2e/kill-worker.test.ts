/** SIGKILL to the worker with its whole group, in each step of a life. */
import { testKillsOf } from "./testing/kill.ts";

testKillsOf("worker");
