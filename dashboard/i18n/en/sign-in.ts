export const signIn = {
  title: "Sign in",
  lead: "Rented GPUs that go to sleep by themselves and wake when wanted.",
  token: "API token",
  tokenHint:
    "Begins with snu_. It is handed over once and kept nowhere: from then on this browser holds a cookie that no script can read.",
  submit: "Sign in",
  local: "Continue as the user of this machine",
  nowhere: "At this address nobody can sign in with a browser.",
};
