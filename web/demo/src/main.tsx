import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App.js";
import { Asking } from "./ui/ask.js";
import { Toasts } from "./ui/toasts.js";
import "./style.css";

// The server is this machine: the browser's opinion about the internet is no reason to wait.
const queries = new QueryClient({
  defaultOptions: {
    queries: { networkMode: "always", refetchOnWindowFocus: false, refetchOnReconnect: false },
    mutations: { networkMode: "always" },
  },
});

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <Toasts>
        <Asking>
          <App />
        </Asking>
      </Toasts>
    </QueryClientProvider>
  </StrictMode>,
);
