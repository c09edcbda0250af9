/** SIGKILL to the stand-in for vast.ai, in each step of a life; its machines live on. */
import { testKillsOf } from "./testing/kill.ts";

testKillsOf("vast");
