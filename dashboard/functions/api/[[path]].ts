/** On Pages, everything under /api/ is the worker's: over a service binding, on the page's own origin. */
interface Context {
  request: Request;
  env: { API: { fetch(request: Request): Promise<Response> } };
}

export const onRequest = ({ request, env }: Context): Promise<Response> => env.API.fetch(request);
