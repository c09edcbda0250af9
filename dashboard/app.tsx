/** Who is signed in decides what is shown; then the address does. */
import { useQuery } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense, useEffect } from "react";
import { Link, Route, Switch, useLocation } from "wouter";
import { Failure } from "./api/failure.ts";
import { instancesQuery, keyOfSession, sessionQuery } from "./api/queries.ts";
import { useReader } from "./i18n/context.tsx";
import { InstancePage } from "./pages/instance/page.tsx";
import { InstancesPage } from "./pages/instances/page.tsx";
import { SignInPage } from "./pages/sign-in/page.tsx";
import { Shell } from "./shell/shell.tsx";
import { Boundary } from "./ui/boundary.tsx";
import { FailureNote } from "./ui/failure.tsx";

const FilesPage = lazy(() => import("./pages/files/page.tsx"));
const NewPage = lazy(() => import("./pages/new/page.tsx"));
// Seldom looked at: fetched when they are.
const SavingsPage = lazy(async () => ({ default: (await import("./pages/savings/page.tsx")).SavingsPage }));
const SettingsPage = lazy(async () => ({ default: (await import("./pages/settings/page.tsx")).SettingsPage }));

export function App() {
  const { data, error, refetch } = useQuery(sessionQuery);
  if (!data) {
    if (!error) return null;
    return (
      <main className="alone">
        <FailureNote error={error} onRetry={refetch} />
      </main>
    );
  }
  // For another person, or another team, nothing of the pages stays.
  return data.user ? <Pages key={keyOfSession(data)} user={data.user.name} /> : <SignInPage ways={data.ways} />;
}

function Pages({ user }: { user: string }) {
  const { t } = useReader();
  const { data: rows, error } = useQuery(instancesQuery);
  const session = useQuery(sessionQuery);
  useNewPage();
  // Revoked or run out, in another tab or by its time: ask anew who is here.
  const isOut = error instanceof Failure && error.status === 401;
  const { refetch } = session;
  useEffect(() => {
    if (isOut) void refetch();
  }, [isOut, refetch]);
  const count = rows ? rows.filter((row) => row.status !== "deleted").length : null;
  // A key for each: one that broke would stay so on the next page.
  const seldom = (path: string, title: string, page: ReactNode) => (
    <Shell user={user} count={count} crumb={<h1>{title}</h1>}>
      <Boundary key={path}>
        <Suspense fallback={<div className="arriving" aria-busy="true" />}>{page}</Suspense>
      </Boundary>
    </Shell>
  );
  return (
    <Switch>
      <Route path="/">
        <Shell user={user} count={count} crumb={<h1>{t.instances.title}</h1>} hidesMeter>
          <Boundary key="/">
            <InstancesPage />
          </Boundary>
        </Shell>
      </Route>
      <Route path="/new">
        <Shell
          user={user}
          count={count}
          crumb={
            <>
              <Link href="/">{t.common.nav.instances}</Link>
              <span aria-hidden="true">/</span>
              <h1>{t.fresh.title}</h1>
            </>
          }
        >
          <Boundary key="/new">
            <Suspense>
              <NewPage />
            </Suspense>
          </Boundary>
        </Shell>
      </Route>
      <Route path="/i/:id/files/:seq">
        {({ id, seq }) => (
          <Shell
            user={user}
            count={count}
            crumb={
              <>
                <Link href="/">{t.common.nav.instances}</Link>
                <span aria-hidden="true">/</span>
                <Link href={`/i/${id}`}>{rows?.find((row) => row.id === id)?.name ?? id}</Link>
                <span aria-hidden="true">/</span>
                <b>{t.files.crumb}</b>
              </>
            }
          >
            <Boundary key={`${id}/${seq}`}>
              <Suspense>
                <FilesPage id={id} seq={Number(seq)} />
              </Suspense>
            </Boundary>
          </Shell>
        )}
      </Route>
      <Route path="/i/:id/*?">
        {({ id }) => (
          <Shell
            user={user}
            count={count}
            crumb={
              <>
                <Link href="/">{t.common.nav.instances}</Link>
                <span aria-hidden="true">/</span>
                <b>{rows?.find((row) => row.id === id)?.name ?? id}</b>
              </>
            }
          >
            <Boundary key={id}>
              <InstancePage id={id} />
            </Boundary>
          </Shell>
        )}
      </Route>
      <Route path="/savings">{seldom("/savings", t.savings.title, <SavingsPage />)}</Route>
      <Route path="/settings">{seldom("/settings", t.settings.title, <SettingsPage />)}</Route>
      <Route>
        <Shell user={user} count={count} crumb={<h1>Soneca</h1>}>
          <div className="nothing">
            <p>{t.common.notFound}</p>
            <Link href="/" className="btn">
              {t.common.toInstances}
            </Link>
          </div>
        </Shell>
      </Route>
    </Switch>
  );
}

/** A new page begins at its top, and its title says so. */
function useNewPage(): void {
  const [path] = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new path begins at its top
  useEffect(() => {
    window.scrollTo(0, 0);
  }, [path]);
}
