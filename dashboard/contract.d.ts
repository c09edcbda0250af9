/** Made by contract-plugin.ts; api/contract.ts gives it its types. */
declare module "soneca:contract" {
  export const routes: Record<string, readonly [method: string, path: string]>;
  export const limits: Record<string, readonly [least: number, most: number]>;
  export const defaults: object;
}
