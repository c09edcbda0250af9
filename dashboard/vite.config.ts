import { createHash } from "node:crypto";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";
import { contractPlugin } from "./contract-plugin.ts";

/** The theme is set before the first paint, by the only script that stands in the page: the policy names it by its hash. */
function policyPlugin(): Plugin {
  let hash = "";
  return {
    name: "soneca-policy",
    transformIndexHtml: {
      order: "post",
      handler(html) {
        const inline = /<script>([\s\S]*?)<\/script>/.exec(html)?.[1] ?? "";
        hash = `'sha256-${createHash("sha256").update(inline).digest("base64")}'`;
        return html;
      },
    },
    generateBundle: {
      order: "post",
      handler() {
        this.emitFile({ type: "asset", fileName: "_headers", source: headersFile(hash) });
      },
    },
  };
}

function headersFile(scriptHash: string): string {
  const policy = [
    "default-src 'none'",
    `script-src 'self' ${scriptHash}`,
    // Positions of bars and charts are set from script.
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  const common = [
    `  Content-Security-Policy: ${policy}`,
    "  X-Content-Type-Options: nosniff",
    "  Referrer-Policy: same-origin",
    "  X-Frame-Options: DENY",
  ];
  return ["/*", ...common, "/assets/*", "  Cache-Control: public, max-age=31536000, immutable", ""].join("\n");
}

export default defineConfig({
  root: import.meta.dirname,
  publicDir: false,
  plugins: [react(), contractPlugin(), policyPlugin()],
  build: {
    target: "es2023",
    outDir: "../dist/dashboard",
    emptyOutDir: true,
    assetsInlineLimit: 2_048,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        // In many small files it is compressed worse, and asked for one by one: what every visit needs is one, what is seldom
        // opened another. A page that is seldom opened takes nothing of the first with it.
        codeSplitting: {
          groups: [
            {
              name: "shared",
              test: /dashboard\/(ui|parts|api|shell|pages\/(instances|instance|sign-in))\/(?!chart|plot|series)|node_modules\/(?!uplot|@fontsource)/,
            },
            {
              name: "seldom",
              test: /dashboard\/pages\/(savings|settings|files|new|config)\//,
              includeDependenciesRecursively: false,
            },
          ],
        },
      },
    },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1_000,
  },
  logLevel: "warn",
});
