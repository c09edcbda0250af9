/** SIGKILL to the agent of a machine, in each step of a life; the machine's loop starts it again. */
import { testKillsOf } from "./testing/kill.ts";

testKillsOf("agent");
