import type { FailureCode } from "../../api/failure.ts";

export interface ErrorWords {
  what: string;
  /** What the reader can do about it. */
  next: string;
}

/** Where the API's own words speak to a program. */
const forPages: Partial<Record<FailureCode, ErrorWords>> = {
  unreachable: { what: "The control plane does not answer.", next: "Nothing was lost. This page goes on asking." },
  unknown: {
    what: "The control plane answered in words that this page does not know.",
    next: "Reload the page; it may be of an earlier version.",
  },
  invalid_input: { what: "Something in the form does not fit.", next: "Correct what is marked." },
  unauthenticated: { what: "You are not signed in.", next: "Sign in again." },
  token_expired: { what: "Your token has expired.", next: "Sign in with another one." },
  forbidden: { what: "You may not do that.", next: "Sign in as somebody who may." },
  role_too_low: { what: "Your role in the team does not allow that.", next: "Ask an owner of the team." },
  instance_not_found: { what: "There is no such instance.", next: "See your list of instances." },
  action_not_allowed: { what: "In its present state the instance cannot do that.", next: "See what it can do now." },
  lease_too_long: {
    what: "It may not be held awake for so long at once.",
    next: "Ask for less, or raise the limit in its settings.",
  },
  snapshot_not_found: {
    what: "The instance has no such snapshot.",
    next: "Retention may have removed it. See its list.",
  },
  wake_rate_limited: { what: "It was woken less than a minute ago.", next: "Wait a moment, then wake it again." },
  object_not_found: { what: "There is no such thing any more.", next: "Reload the list." },
  provider_auth: { what: "vast.ai refused the key.", next: "Set another: the team's, or the deployment's." },
  provider_no_credit: { what: "The vast.ai account has no credit.", next: "Add credit, then try again." },
  provider_rate_limited: { what: "vast.ai asks for fewer requests.", next: "Try again in a moment." },
  provider_refused: { what: "vast.ai refused the request.", next: "See its words below." },
  provider_unavailable: { what: "vast.ai did not answer.", next: "Try again in a moment; nothing was changed." },
  machine_not_found: { what: "The vast.ai account has no such machine.", next: "Check its number." },
};

export const errors = {
  /** What has no words here is told with those of the API. */
  byCode: forPages as Partial<Record<FailureCode, ErrorWords>>,
  providerSays: (words: string) => `vast.ai says: ${words}`,
  broken: "This part of the page broke.",
  brokenNext: "Reload it. Your machines are not touched by that.",
};
