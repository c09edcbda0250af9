import "@fontsource-variable/figtree/wght.css";
import "@fontsource-variable/geist-mono/wght.css";
import "./look/index.css";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createQueries } from "./api/queries.ts";
import { App } from "./app.tsx";
import { firstLanguage, ReaderProvider, wordsOf } from "./i18n/context.tsx";
import { VoiceProvider } from "./ui/toast.tsx";

const language = firstLanguage();
const words = await wordsOf(language);
createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={createQueries()}>
      <ReaderProvider first={{ language, words }}>
        <VoiceProvider>
          <App />
        </VoiceProvider>
      </ReaderProvider>
    </QueryClientProvider>
  </StrictMode>,
);
